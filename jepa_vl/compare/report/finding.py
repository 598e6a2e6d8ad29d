"""The finding in words, made from the numbers: losses first, and no claim without its interval."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.compare.report import trends
from jepa_vl.compare.report.document import Block, Items, Text
from jepa_vl.compare.report.numbers import change, count, listed, mean, ratio
from jepa_vl.compare.statistics.summary import ArmSummary, Estimate, MetricSummary, Summary, Verdict
from jepa_vl.results.units import difference, quantity

MANY = 5  # arms with another to compare with; more are counted instead of told one by one


def finding(summary: Summary) -> list[Block]:
    """Return the paragraphs at the top of the report."""
    others = [arm for arm in summary.arms if arm.against]
    if not summary.means:
        return [Text("**Nothing has been measured yet.**"), *_caveats(summary)]
    if summary.trends:
        return [Text(_setting(summary)), *trends.finding(summary), *_caveats(summary)]
    if len(others) > MANY:
        return [Text(_setting(summary)), *map(Text, _counted(summary, others)), *_caveats(summary)]
    paragraphs = [text for arm in others for text in _told(summary, arm)]
    # where the reference is ahead is said before anything else
    paragraphs.sort(key=lambda pair: pair[0])
    texts: list[Block] = [Text(f"{_setting(summary)} {paragraphs[0][1]}")] if paragraphs else []
    texts += [Text(text) for _, text in paragraphs[1:]]
    return [*texts, *_caveats(summary)]


def _setting(summary: Summary) -> str:
    seeds = sorted({len(d.values) for d in summary.differences if d.budget == summary.budgets[-1]})
    number = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}" if seeds else "no"
    # those at which it was measured: runs of another recipe may be longer than this one's full budget
    points = (summary.point(arm.name, summary.budgets[-1]) for arm in summary.arms)
    samples = sorted({count(point.samples) for point in points if point is not None})
    pairs = f"{number} paired seed{'' if number == '1' else 's'}"
    return f"At the full budget ({' or '.join(samples)} training samples, {pairs}):"


def _told(summary: Summary, arm: ArmSummary) -> Iterator[tuple[int, str]]:
    """Yield sentences of an arm with their rank."""
    reference = summary.arm(arm.against)
    found: dict[Verdict, list[str]] = {"worse": [], "better": [], "cannot be told": []}
    for metric in summary.metrics:
        gap = summary.difference(arm.name, metric.name, summary.budgets[-1])
        if gap is not None and gap.verdict is not None:
            found[gap.verdict].append(_gap(summary, arm, metric, gap))
    if found["worse"]:
        yield 0, f"**{reference.about} is ahead of {arm.about}** on {listed(found['worse'])}."
    if found["better"]:
        yield 1, f"**{arm.about} is ahead of {reference.about}** on {listed(found['better'])}."
    if found["cannot be told"]:
        yield (
            2,
            f"**No difference can be told** between {arm.about} and {reference.about} on "
            f"{listed(found['cannot be told'])}.",
        )
    efficient = _efficiency(summary, arm, reference)
    if efficient:
        yield 3, efficient


def _gap(summary: Summary, arm: ArmSummary, metric: MetricSummary, gap: Estimate) -> str:
    """``VQA by 4.1 [0.9, 7.4] (90.2 % against 85.8 %)``, the one that is ahead first."""
    names = [arm.name, arm.against]
    if gap.verdict == "worse":
        names.reverse()
    found = [summary.mean(name, metric.name, summary.budgets[-1]) for name in names]
    values = " against ".join(quantity(e.value, metric.unit) for e in found if e is not None)
    if gap.verdict == "cannot be told":
        return f"{metric.name} ({values}; difference {change(gap, metric)})"
    ends = sorted(abs(end) for end in (gap.low or 0.0, gap.high or 0.0))
    by, low, high = (difference(size, metric.unit).lstrip("+") for size in (abs(gap.value), *ends))
    return f"{metric.name} by {by} [{low}, {high}] ({values})"


def _efficiency(summary: Summary, arm: ArmSummary, reference: ArmSummary) -> str:
    fewer, more, never, unsure = [], [], [], []
    for one in summary.efficiencies:
        if (one.arm, one.quality_of, one.axis) != (arm.name, "reference", "samples"):
            continue
        text = f"{one.metric} ({ratio(one)})"
        if one.over == "nothing":
            continue
        if one.high == 0:
            never.append(one.metric)
        elif one.low is not None and one.low > 1:
            fewer.append(text)
        elif one.high is not None and one.high < 1:
            more.append(text)
        else:
            unsure.append(text)
    own = []
    if fewer:
        own.append(f"takes fewer samples on {listed(fewer)}")
    if more:
        own.append(f"takes more on {listed(more)}")
    if never:
        own.append(f"does not come there on {listed(never)}")
    parts = [f"{arm.about} {'; '.join(own)}"] if own else []
    if unsure:
        parts.append(f"no difference can be told on {listed(unsure)}")
    if not parts:
        return ""
    return f"**To what {reference.about} has at its full budget**, " + "; ".join(parts) + "."


def _counted(summary: Summary, others: list[ArmSummary]) -> Iterator[str]:
    """Say how many of the arms that are compared with one are behind, ahead, or neither on each metric."""
    for reference in (summary.arm(name) for name in dict.fromkeys(arm.against for arm in others)):
        of = [arm for arm in others if arm.against == reference.name]
        parts = []
        for metric in summary.metrics:
            gaps = [summary.difference(arm.name, metric.name, summary.budgets[-1]) for arm in of]
            told = [gap.verdict for gap in gaps if gap is not None]
            if not told:  # no seed that both have, as long as runs are missing
                continue
            own = summary.mean(reference.name, metric.name, summary.budgets[-1])
            parts.append(f"**{metric.name}** ({mean(own, metric)}): of {len(told)} others {_shares(told)}")
        if parts:
            yield f"Against {reference.about}: " + "; ".join(parts) + "."


def _shares(told: list[Verdict | None]) -> str:
    """``2 are better, 1 is worse and 3 cannot be told apart``, without what none is."""
    better, worse, open_ = (told.count(verdict) for verdict in ("better", "worse", "cannot be told"))
    said = [
        (better, f"{_is(better)} better"),
        (worse, f"{_is(worse)} worse"),
        (open_, "cannot be told apart"),
    ]
    return listed([f"{n} {words}" for n, words in said if n])


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _caveats(summary: Summary) -> list[Block]:
    notes = list(_notes(summary))
    return [Items(notes)] if notes else []


def _notes(summary: Summary) -> Iterator[str]:
    begun = [arm.name for arm in summary.begun]
    absent = [arm.about for arm in summary.arms if arm.name not in begun]
    if absent:
        yield f"**No run of {listed(absent)} has begun.**"
    states: dict[tuple[str, str], list[int]] = {}
    for run in summary.runs:
        if run.state != "finished" and run.arm in begun:
            states.setdefault((run.arm, run.state), []).append(run.seed)
    for (arm, state), seeds in states.items():
        verb = {"training": "still in training", "evaluating": "still evaluated"}.get(state, state)
        which = f"seed{'' if len(seeds) == 1 else 's'} {listed([str(s) for s in seeds])}"
        yield (
            f"**{len(seeds)} of {len(summary.seeds)} runs of {summary.arm(arm).about}: {verb}** ({which}). "
            "Its means are of the other runs at budgets that these did not come to, which may flatter it; "
            "differences are of the seeds that both arms have."
        )
    full = [d for d in summary.differences if d.budget == summary.budgets[-1]]
    of: dict[str, dict[str, None]] = {}
    for gap in full:
        of.setdefault(gap.over, {})[gap.metric] = None
    names = {over: listed(list(metrics)) for over, metrics in of.items()}
    if "episodes" in names:
        yield (
            f"**Fewer than 3 paired seeds**: intervals of {names['episodes']} are of test episodes alone, "
            "and say nothing of what another seed would give."
        )
    if "seeds" in names:
        yield f"Intervals of {names['seeds']} are of seeds alone: there are no outcomes of samples to pair."
    if "nothing" in names:
        yield f"No intervals, and so no claims, on {names['nothing']}: too few seeds, no outcomes of samples."
    if len(summary.machines) > 1:
        yield f"**Mixed hardware**: {'; '.join(summary.machines)}. Seconds are not to be compared."
    lone = [m.name for m in summary.metrics if sum(e.metric == m.name for e in summary.differences) == 0]
    if lone and len(summary.arms) > 1:
        yield f"Only some arms have {listed(lone)}: nothing to compare."
    yield from summary.problems
