"""Two systems on the same samples: the mean difference, with an interval from a paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jepa_vl.metrics.bootstrap import bootstrap_interval


@dataclass(frozen=True)
class Difference:
    """How much better one system is than another.

    Attributes:
        value: Mean difference; positive where the first is higher.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Number of samples that both have seen.
    """

    value: float
    low: float
    high: float
    n: int


def paired_difference(
    ours: Mapping[str, float], theirs: Mapping[str, float], episodes: Mapping[str, str]
) -> Difference | None:
    """Compare the values of samples that both systems have; None where there are none.

    The resamples draw whole episodes, and each draws the same samples for both systems: what makes some
    samples hard for everyone cancels, and a difference is seen that two single intervals would hide.

    Args:
        ours: Sample id → value.
        theirs: The same of the other system.
        episodes: Sample id → episode; a sample without one stands for itself.
    """
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    values = [ours[i] - theirs[i] for i in shared]
    low, high = bootstrap_interval(values, groups=[episodes.get(i) or i for i in shared])
    return Difference(sum(values) / len(values), low, high, len(values))
