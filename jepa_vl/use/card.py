"""The card of an exported model: what it is, how it is used, what it was trained on, what it measures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import yaml

from jepa_vl.objectives.base import EMBED, GENERATE, SCORE
from jepa_vl.results import Results, markdown

if TYPE_CHECKING:
    from jepa_vl.use.model import Model

USES = {
    EMBED: 'model.embed_video("clip.mp4")                              # a unit vector',
    SCORE: 'model.answer("clip.mp4", "is a door opened?", ["yes", "no"])  # the best first',
    GENERATE: 'model.caption("clip.mp4")                                  # a text',
}


def model_card(
    model: Model, *, recipe: dict[str, Any], kept: int, total: int, referenced: Collection[str]
) -> str:
    """Return the card, in Markdown with the hub's header.

    Args:
        model: What is described.
        recipe: By which it is built again.
        kept: How many weights the folder holds.
        total: How many the model has.
        referenced: Parts of which frozen pretrained weights are left out.
    """
    header = {"library_name": "jepa-vl", "tags": ["video", "vision-language", "jepa"], "license": "unknown"}
    name = type(model.objective).__name__
    uses = "\n".join(line for ability, line in USES.items() if ability in model.abilities)
    parts = "\n".join(
        f"| `{key}` | `{part}` | {weights} |" for key, part, weights in _parts(recipe, referenced)
    )
    return f"""\
---
{yaml.safe_dump(header, sort_keys=False).strip()}
---

# {model.name}

A `{name}` trained with jepa-vl, an implementation of [VL-JEPA](https://arxiv.org/abs/2512.10942).
It can: {", ".join(sorted(model.abilities))}.

```python
import jepa_vl

model = jepa_vl.load("this folder, or its hub id")
model.classify("clip.mp4", ["open the door", "close the door"])  # the best first
{uses}
```

## Parts

| part | class | pretrained weights |
|---|---|---|
{parts}

`model.safetensors` holds {kept:,} of {total:,} weights: what was trained, and what cannot be had otherwise.
The rest are frozen weights of the pretrained models in the table, which are fetched by name when the model
is loaded and compared with a hash. `recipe.yaml` is the resolved recipe of the objective.

## Training

{_training(model.results)}

## Results

{_results(model.results)}

## Licence

Not known. The pretrained parts and the training data have licences of their own, which hold for this model
too; look them up before you use or share it.
"""


def _parts(recipe: dict[str, Any], referenced: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (key, class, pretrained weights it names) of each part of the objective."""
    for key, part in recipe["objective"].get("init_args", {}).items():
        if isinstance(part, dict) and "class_path" in part:
            named = [f"`{name}`" for name in _pretrained(part)]
            yield (
                key,
                part["class_path"],
                ", ".join(named) or ("those of the class" if key in referenced else "none"),
            )


def _pretrained(part: dict[str, Any]) -> Iterator[str]:
    """Yield the names of pretrained models in a part, and in those inside it."""
    for key, value in (part.get("init_args") or {}).items():
        if isinstance(value, dict) and "class_path" in value:
            yield from _pretrained(value)
        elif isinstance(value, str) and (key == "model" or key.endswith("_model")):
            yield value


def _training(results: Results | None) -> str:
    if results is None:
        return "Not recorded: the run has no results.json."
    run = results.run
    rows = {
        "data (hash of manifest and media)": f"`{run.data_hash}`",
        "training samples seen": f"{run.samples_seen:,}",
        "optimizer steps": f"{run.steps:,}",
        "trained parameters": f"{run.trainable_parameters:,}",
        "seed": str(run.seed),
        "code": f"jepa-vl {run.version}, commit {run.commit or 'unknown'}",
        "evaluated": f"{run.date}, `{run.command}`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def _results(results: Results | None) -> str:
    if results is None:
        return "None are recorded; `jepa-vl test` measures a run."
    return "\n\n".join(f"On `{name}`:\n\n{markdown(rows)}" for name, rows in results.sets.items())
