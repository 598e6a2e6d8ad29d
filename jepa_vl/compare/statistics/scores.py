"""From gathered runs to `Scores`: a row a seed, a column an episode, the same columns for all arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jepa_vl.compare.plan import Metric
from jepa_vl.compare.statistics.gather import Gathered, Measured, Run
from jepa_vl.compare.statistics.resampling import Scores


def scores_of(gathered: Gathered, metric: Metric, budget: int) -> dict[str, Scores]:
    """Return what the runs of each arm scored; arms without any are left out.

    Episodes are there only where every run of every arm has an outcome for the same samples; for anything
    else there is no pairing, and the seeds are all that can be drawn.

    Args:
        gathered: The runs.
        metric: One of its metrics.
        budget: Position of the budget in the comparison's.
    """
    found: dict[str, list[tuple[Run, Measured]]] = {}
    for run in gathered.runs:
        at = run.budgets[budget]
        if at is not None and metric.name in at.rows:
            found.setdefault(run.arm, []).append((run, at))
    everyone = [at.outcomes.get(metric.name, {}) for runs in found.values() for _, at in runs]
    samples = sorted(everyone[0]) if everyone else []
    paired = bool(samples) and all(each.keys() == everyone[0].keys() for each in everyone)
    episodes = gathered.episodes.get(metric.sample_set, {})
    column = _columns([episodes.get(sample, sample) for sample in samples]) if paired else None
    return {arm: _scores(runs, metric.name, samples, column) for arm, runs in found.items()}


Columns = npt.NDArray[np.int64]


def _columns(units: Sequence[str]) -> Columns:
    return np.unique(np.asarray(units), return_inverse=True)[1].astype(np.int64)


def _scores(
    runs: Sequence[tuple[Run, Measured]], metric: str, samples: list[str], column: Columns | None
) -> Scores:
    seeds = tuple(run.seed for run, _ in runs)
    values = np.array([at.rows[metric].value for _, at in runs], dtype=np.float64)
    if column is None:
        return Scores(seeds, values)
    each = [np.array([at.outcomes[metric][sample] for sample in samples]) for _, at in runs]
    sums = np.array([np.bincount(column, weights=one) for one in each], dtype=np.float64)  # [S, E]
    return Scores(seeds, values, sums, np.bincount(column).astype(np.float64))
