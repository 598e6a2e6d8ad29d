"""`headlines`: what is compared when the recipe names no metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jepa_vl.compare.plan import Metric
from jepa_vl.data.base import SINGLE_FRAME
from jepa_vl.tasks.base import Result


def headlines(arms: Sequence[Mapping[str, Sequence[Result]]]) -> tuple[Metric, ...]:
    """Return for each task on each test set the first row that most arms have, two at least.

    An objective that only scores ranks a smaller gallery than one that embeds, and one without a decoder says
    no captions; so an arm's own first row may be of no use to the others. Sets of single frames are
    baselines of other sets, and are left out.

    Args:
        arms: The rows of each arm by sample set.
    """
    sets = list(dict.fromkeys(name for arm in arms for name in arm if not name.endswith(f"/{SINGLE_FRAME}")))
    found = []
    for sample_set in sets:
        rows = [{(r.task, r.metric, r.group): r for r in arm.get(sample_set, ())} for arm in arms]
        keys = list(dict.fromkeys(key for arm in rows for key in arm))
        for task in dict.fromkeys(key[0] for key in keys):
            of_task = [key for key in keys if key[0] == task]
            best = max(of_task, key=lambda key: sum(key in arm for arm in rows))  # the first of equals
            if sum(best in arm for arm in rows) >= min(2, len(arms)):
                _, metric, group = best
                name = f"{task}, {metric}" + ("" if group == "all" else f" ({group})")
                name += "" if sample_set == sets[0] else f", {sample_set}"
                found.append(Metric(name, sample_set, task, metric, group))
    return tuple(found)
