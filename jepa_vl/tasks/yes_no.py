"""Yes-no questions as POPE counts them: precision, recall, F1 and share of yes, and the mean over splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepa_vl.metrics.bootstrap import Floats, Statistic, bootstrap_interval, mean_per_class
from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Result
from jepa_vl.tasks.indexed import episodes

#: How POPE draws the object that is asked for (arXiv 2305.10355, section 5.1); each is a split.
SPLITS = ("random", "popular", "adversarial")

# An answer is a number: 2 where yes was said, and 1 where yes is right.
_SAID, _TRUE = 2, 1


def is_yes_no(sample: Sample) -> bool:
    """Whether the sample's candidates are yes and no, in any case."""
    return {c.lower() for c in sample.candidates or ()} == {"yes", "no"}


def is_split(kind: str) -> bool:
    """Whether the kind is one of POPE's splits, such as ``pope/random``."""
    return kind.rpartition("/")[2] in SPLITS


def yes_no_rows(task: str, group: str, samples: Sequence[Sample], said: Sequence[str]) -> list[Result]:
    """Return precision, recall, F1 and the share of yes, for one split of n yes-no questions.

    Where yes is never said, its precision and F1 are 0. Chance is an even guess.
    """
    answers = _answers(samples, said)
    truth = float(np.mean(answers % 2))
    units = episodes(samples)

    def row(metric: str, statistic: Statistic, chance: float) -> Result:
        value = float(statistic(answers, np.ones((1, len(answers))))[0])
        low, high = bootstrap_interval(answers, groups=units, statistic=statistic)
        return Result(task, metric, value, len(answers), chance, low, high, group)

    even = truth / (truth + 0.5)  # F1 of an even guess: precision is the share of yes, recall 1/2
    return [
        row("precision", _precision, truth),
        row("recall", _recall, 0.5 if truth else 0.0),
        row("F1", _f1, even),
        yes_share(task, group, samples, said),
    ]


def yes_share(task: str, group: str, samples: Sequence[Sample], said: Sequence[str]) -> Result:
    """Return how often yes is said, beside how often it is right."""
    answers = _answers(samples, said)
    yes = (answers >= _SAID).astype(np.float64)
    low, high = bootstrap_interval(yes, groups=episodes(samples))
    note = "not a score; 'chance' is the share of yes among the right answers"
    return Result(
        task,
        "yes share",
        float(yes.mean()),
        len(yes),
        float(np.mean(answers % 2)),
        low,
        high,
        group,
        note=note,
    )


def mean_over_splits(
    task: str, group: str, samples: Sequence[Sample], said: Sequence[str], credit: Sequence[float]
) -> list[Result]:
    """Return the means of the splits' accuracy and F1, where each split counts the same."""
    splits = [(sample.kind or "").rpartition("/")[2] for sample in samples]
    answers = _answers(samples, said)
    units = episodes(samples)
    names = sorted(set(splits))
    note = "each split counts the same: " + ", ".join(names)
    place = np.array([names.index(split) for split in splits])

    def mean_f1(values: Floats, weights: Floats) -> Floats:
        return np.mean([_f1(values, weights * (place == i)) for i in range(len(names))], axis=0)

    found = []
    share = [float(np.mean(answers[place == i] % 2)) for i in range(len(names))]
    for metric, values, statistic, chance in (
        ("mean accuracy of splits", np.asarray(credit, dtype=np.float64), mean_per_class(splits), 0.5),
        ("mean F1 of splits", answers, mean_f1, float(np.mean([t / (t + 0.5) for t in share]))),
    ):
        value = float(statistic(values, np.ones((1, len(values))))[0])
        low, high = bootstrap_interval(values, groups=units, statistic=statistic)
        found.append(Result(task, metric, value, len(values), chance, low, high, group, note=note))
    return found


def _answers(samples: Sequence[Sample], said: Sequence[str]) -> Floats:
    return np.array(
        [
            _SAID * (answer.lower() == "yes") + _TRUE * (sample.right_answer.lower() == "yes")
            for sample, answer in zip(samples, said, strict=True)
        ],
        dtype=np.float64,
    )


def _precision(values: Floats, weights: Floats) -> Floats:
    hits = weights @ (values == _SAID + _TRUE)
    return _share(hits, weights @ (values >= _SAID))


def _recall(values: Floats, weights: Floats) -> Floats:
    hits = weights @ (values == _SAID + _TRUE)
    return _share(hits, weights @ (values % 2))


def _f1(values: Floats, weights: Floats) -> Floats:
    hits = weights @ (values == _SAID + _TRUE)
    return _share(2 * hits, weights @ (values >= _SAID) + weights @ (values % 2))


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
