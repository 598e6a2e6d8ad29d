"""How clips are told: in how many ways, and how many of them wrongly. The clips stay the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.sample import Sample
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.wording import WAYS, WORDING_VERSION, say

#: Samples of a clip that tell its event; the other ones are about what lies in sight.
TOLD = ("caption", "action", "attribute")


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What the texts depend on, besides the clips. The defaults tell them as they were rendered.

    Attributes:
        wording: In how many ways training captions are said; None for the usual ones.
        evaluation_wording: The same of the captions of all other splits.
        label_noise: Share of the training clips that are told as another one.

    Raises:
        RecipeError: There are not so many ways, or the share is none.
    """

    wording: int | None = None
    evaluation_wording: int | None = None
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("wording", "evaluation_wording"):
            ways = getattr(self, name)
            if ways is not None and not 1 <= ways <= WAYS:
                raise RecipeError(
                    f"data.{name} must be from 1 to {WAYS}, or null for the usual ways; found {ways}"
                )
        if not 0 <= self.label_noise <= 1:
            raise RecipeError(f"data.label_noise must be a share from 0 to 1, found {self.label_noise:g}")

    def ways(self, split: str) -> int | None:
        """In how many ways the captions of a split are said."""
        return self.wording if split == "train" else self.evaluation_wording

    def file(self, manifest: Path) -> Path:
        """Return the manifest that tells the clips of a rendered one so: itself, or one beside it."""
        split = manifest.stem
        ways, noise = self.ways(split), self.label_noise if split == "train" else 0.0
        parts = [f"wording-{ways}"] * (ways is not None) + [f"noise-{noise!r}"] * (noise > 0)
        if not parts:
            return manifest
        return manifest.with_name("-".join([split, f"v{WORDING_VERSION}", *parts]) + ".jsonl")


def tell(manifests: Sequence[Path], telling: Telling, *, seed: int) -> None:
    """Write what `Telling.file` names for each rendered manifest, unless it is there.

    Raises:
        UserError: The folder cannot be written.
        RecipeError: All clips are of one class, so that none can be told as another.
    """
    for manifest in manifests:
        file = telling.file(manifest)
        if file.is_file():
            continue
        try:
            with FileLock(manifest.parent.with_name(f"{manifest.parent.name}.lock")):
                if not file.is_file():
                    write_manifest(file, told(read_manifest(manifest), telling, seed=seed))
        except OSError as error:
            raise UserError(f"cannot write BabyAI's texts to '{file}': {error}") from error


def told(samples: Sequence[Sample], telling: Telling, *, seed: int) -> Iterator[Sample]:
    """Yield the samples of one split, in their order, with other texts.

    What is drawn for a clip depends on ``seed`` and on the clip's name alone: the clips that are told wrongly
    with little noise are so with more, and as the same other clip. Its caption, class and attribute question
    are then that clip's, of another class, and ``source`` names it. Questions about what lies in sight stay.
    """
    split = samples[0].split
    noise = telling.label_noise if split == "train" else 0.0
    events = {s.id: s for s in samples if _part(s) in TOLD}
    classes = {_clip(s): s.label for s in events.values() if s.label is not None}
    if noise and len(set(classes.values())) < 2:
        raise RecipeError("data.label_noise needs training clips of two classes; set it to 0 or add clips")
    names = list(classes)
    for sample in samples:
        clip = _clip(sample)
        changes: dict[str, Any] = {}
        if noise and _part(sample) in TOLD and _rng(seed, "noise", clip).random() < noise:
            other = _another(names, classes, clip, _rng(seed, "other", clip))
            changes = _texts(events[f"{other}/{_part(sample)}"]) | {"source": f"{sample.source}: {other}"}
        ways = telling.ways(split)
        if ways is not None and _part(sample) == "caption":
            meaning = Meaning.parse(changes.get("group") or sample.group or "")
            changes["target"] = say(meaning, int(_rng(seed, "wording", clip).integers(ways)))
        yield sample.model_copy(update=changes)


def _another(names: Sequence[str], classes: dict[str, str], clip: str, rng: np.random.Generator) -> str:
    while True:
        other = names[int(rng.integers(len(names)))]
        if classes[other] != classes[clip]:
            return other


def _texts(sample: Sample) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in ("query", "target", "label", "group", "kind")}


def _clip(sample: Sample) -> str:
    return sample.id.rpartition("/")[0]


def _part(sample: Sample) -> str:
    return sample.id.rpartition("/")[2]


def _rng(seed: int, what: str, clip: str) -> np.random.Generator:
    """A generator of its own for each clip and purpose: what one draws does not move another."""
    return np.random.default_rng([seed, *f"{what} {clip}".encode()])
