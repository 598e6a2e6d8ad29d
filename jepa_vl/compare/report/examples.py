"""Predictions of all arms side by side: the same samples, each with its frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jepa_vl.compare.report.document import Block, Samples, Shown, Text
from jepa_vl.compare.statistics.gather import Gathered, Run, examples_of

EACH = 6  # samples of a task
#: Sample set and sample ids → PNG files of each.
Frames = Callable[[str, Sequence[str]], dict[str, list[bytes]]]


def predictions(gathered: Gathered, frames: Frames) -> list[Block]:
    """Return cards of the first test set with examples, by task; of the first seed that all arms finished."""
    by_arm = _by_arm(gathered)
    if not by_arm:
        return []
    sets = list(dict.fromkeys(name for found in by_arm.values() for name in found))
    chosen: list[tuple[str, list[str]]] = []
    for task in dict.fromkeys(task for found in by_arm.values() for task in found.get(sets[0], {})):
        ids = _common([found.get(sets[0], {}).get(task, []) for found in by_arm.values()])
        if ids:
            chosen.append((task, ids))
    pictures = frames(sets[0], list(dict.fromkeys(sample for _, ids in chosen for sample in ids)))
    blocks: list[Block] = []
    for task, ids in chosen:
        shown = [_shown(gathered, by_arm, sets[0], task, sample, pictures.get(sample, [])) for sample in ids]
        blocks.append(Samples(task, shown))
    if blocks:
        seed = _seed(gathered)
        blocks.insert(
            0,
            Text(
                f"Of the set {sets[0]}, seed {seed}, at the full budget; green where it is the very text.",
                dim=True,
            ),
        )
    return blocks


Found = dict[str, dict[str, list[dict[str, Any]]]]


def _seed(gathered: Gathered) -> int | None:
    seeds = [{r.seed for r in gathered.of(arm.name) if r.budgets[-1]} for arm in gathered.comparison.arms]
    there = [each for each in seeds if each]
    return min(set.intersection(*there), default=None) if there else None


def _by_arm(gathered: Gathered) -> dict[str, Found]:
    seed = _seed(gathered)
    found = {}
    for run in gathered.runs:
        last = run.budgets[-1]
        if run.seed == seed and last is not None:
            found[run.arm] = _with_decoder(run, last.steps)
    return {arm: examples for arm, examples in found.items() if examples}


def _with_decoder(run: Run, steps: int) -> Found:
    return examples_of(run, steps)


def _common(of_arms: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """Ids that most arms have, those that all have first, in the order of the first arm."""
    told = [[one["id"] for one in examples] for examples in of_arms]
    ids = list(dict.fromkeys(sample for each in told for sample in each))
    most = max((sum(sample in each for each in told) for sample in ids), default=0)
    kept = [sample for sample in ids if sum(sample in each for each in told) == most]
    # spread over what there is: neighbours are often of one episode
    return [kept[i * len(kept) // min(EACH, len(kept))] for i in range(min(EACH, len(kept)))]


def _shown(
    gathered: Gathered, by_arm: dict[str, Found], sample_set: str, task: str, sample: str, frames: list[bytes]
) -> Shown:
    said, query, expected = [], "", ""
    for arm in gathered.comparison.arms:
        for one in by_arm.get(arm.name, {}).get(sample_set, {}).get(task, []):
            if one["id"] == sample:
                query, expected = query or one.get("query") or "", expected or one["expected"]
                right = one["predicted"].strip() == one["expected"].strip()
                said.append((arm.about or arm.name, one["predicted"], right))
    return Shown(sample, query, expected, said, frames)
