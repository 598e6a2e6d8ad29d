"""A part of a sample set: some samples, chosen at random once, and the clips that they refer to."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from jepa_vl.data.windows import MOMENT, STREAM
from jepa_vl.sample import CHOICE, WINDOW, Sample


def drawn(places: Sequence[int], samples: Sequence[Sample], limit: int) -> list[int]:
    """Return ``limit`` of the places, and those of what their samples refer to, in order.

    A question refers to its choices, and a moment or an annotation of a stream to the windows of its media:
    without them it could not be asked. Clips that others only refer to are not drawn by themselves, unless
    there is nothing else; nor are annotations of streams, of which a few bring nearly every window.

    Args:
        places: What may be drawn: indices of ``samples``.
        samples: All samples of the set.
        limit: How many are drawn.
    """
    asking = [i for i in places if samples[i].kind not in (CHOICE, WINDOW)] or list(places)
    asking = [i for i in asking if samples[i].kind != STREAM] or asking
    # the same samples whatever the run's seed is, or runs could not be compared
    found = set(random.Random(0).sample(asking, min(limit, len(asking))))
    by_id = {samples[i].id: i for i in places}
    windows: dict[str, list[int]] = defaultdict(list)
    for i in places:
        if samples[i].kind == WINDOW:
            windows[samples[i].media].append(i)
    for i in list(found):
        found.update(by_id[name] for name in samples[i].choices or () if name in by_id)
        if samples[i].kind in (MOMENT, STREAM):
            found.update(windows[samples[i].media])
    return sorted(found)
