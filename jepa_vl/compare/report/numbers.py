"""How the report prints numbers: values by the unit of their metric, spans, counts, times and ratios."""

from __future__ import annotations

import math

from jepa_vl.compare.statistics.summary import ArmSummary, Efficiency, Estimate, MetricSummary, Summary
from jepa_vl.results.units import PRINTING, difference, number

NONE = "–"
_STEPS = ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def heading(metric: MetricSummary) -> str:
    """Return a metric's name with what its numbers are in: ``VQA, accuracy, %``."""
    sign = PRINTING[metric.unit].sign.strip()
    return f"{metric.name}, {sign}" if sign else metric.name + (" × 100" if metric.unit == "points" else "")


def mean(estimate: Estimate | None, metric: MetricSummary) -> str:
    """``85.8 [84.0, 87.7]``."""
    if estimate is None:
        return NONE
    span = "" if estimate.low is None or estimate.high is None else (
        f" [{number(estimate.low, metric.unit)}, {number(estimate.high, metric.unit)}]"
    )  # fmt: skip
    return number(estimate.value, metric.unit) + span


def change(estimate: Estimate | None, metric: MetricSummary) -> str:
    """``−4.1 [−7.4, −0.9]``."""
    if estimate is None:
        return NONE
    span = "" if estimate.low is None or estimate.high is None else (
        f" [{difference(estimate.low, metric.unit)}, {difference(estimate.high, metric.unit)}]"
    )  # fmt: skip
    return (difference(estimate.value, metric.unit) + span).replace("-", "−")


def count(value: float) -> str:
    """``12,800``."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """``5.10 M``; three digits."""
    for size, sign in _STEPS:
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """``310 s``, ``12.3 min`` or ``4.5 h``."""
    if seconds < 600:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def times(value: float) -> str:
    """``9.4``; two digits, three from 100 on."""
    if value in (0, math.inf):
        return "∞" if value else "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def needs(value: float | None, axis: str) -> str:
    """How much of an axis was needed, or that it never was enough."""
    if value is None:
        return "not reached"
    return duration(value) if axis == "seconds" else short(value)


def ratio(found: Efficiency) -> str:
    """``9.4× [6.5, 13.6]``; 0 and ∞ stand for an arm, or the reference, that does not come there."""
    bound = {(True, False): "≥ ", (False, True): "≤ "}.get(
        ("arm" in found.first_budget, "reference" in found.first_budget), ""
    )
    # every draw says the same: there is nothing to add
    alike = found.low == found.high == found.ratio
    span = "" if found.low is None or found.high is None or alike else (
        f" [{times(found.low)}, {times(found.high)}]"
    )  # fmt: skip
    if found.ratio == 0:
        return f"not reached{span}"
    return f"{bound}{times(found.ratio)}×{span}"


def label(summary: Summary, arm: ArmSummary) -> str:
    """Name of an arm in tables, with what it is compared with where that is not the same for all."""
    if not arm.against:
        return f"{arm.about} (reference)"
    alike = len({other.against for other in summary.arms if other.against}) == 1
    return arm.about if alike else f"{arm.about} (− {summary.arm(arm.against).about})"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
