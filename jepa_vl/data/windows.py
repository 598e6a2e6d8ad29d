"""Windows: equally long stretches of a long video, to search a moment among or to follow it as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.sample import WINDOW, Sample

MOMENT = "moment"  # kind of the samples that ask where in their media the target happens
STREAM = "stream"  # kind of the samples that say what happens in their media, and at which `timestamps`
OVERLAP = 0.5


def sliding_windows(
    duration: float,
    lengths: Sequence[float],
    overlap: float | None = None,
    *,
    stride: float | None = None,
) -> list[tuple[float, float]]:
    """Return start and end of the windows of a video, in seconds, for each length from the beginning on.

    The last window of a length ends with the video, so that every second is covered; a length that is not
    shorter than the video gives the whole of it, once. Times are whole milliseconds.

    Args:
        duration: Of the video, in seconds.
        lengths: Of the windows, in seconds.
        overlap: Share of a window that the next one of its length repeats, from 0 to below 1; a half where
            there is no stride either.
        stride: Seconds from one window to the next, instead of an overlap; no more than the shortest length.

    Raises:
        RecipeError: A number is out of its range, or there are both overlap and stride.
    """
    if duration < 0.001:
        raise RecipeError(f"the duration of a video is {duration:g} s; expected at least a millisecond")
    if not lengths or min(lengths) < 0.001:
        raise RecipeError(f"window lengths are {list(lengths)}; expected one or more, in seconds above 0")
    if overlap is not None and stride is not None:
        raise RecipeError(f"window overlap ({overlap:g}) and stride ({stride:g} s) exclude each other")
    if overlap is not None and not 0 <= overlap < 1:
        raise RecipeError(f"window overlap is {overlap:g}; expected a share from 0 to below 1")
    if stride is not None and not 0.001 <= stride <= min(lengths):
        raise RecipeError(
            f"window stride is {stride:g} s; expected more than 0 and at most the shortest window, "
            f"{min(lengths):g} s"
        )
    total = int(duration * 1000)  # down: nothing lies behind the end
    found: dict[tuple[int, int], None] = {}
    for length in lengths:
        size = min(round(length * 1000), total)
        share = OVERLAP if overlap is None else overlap
        step = max(1, round(size * (1 - share) if stride is None else stride * 1000))
        starts = [*range(0, total - size, step), total - size]
        found |= dict.fromkeys((start, start + size) for start in starts)
    return [(start / 1000, end / 1000) for start, end in found]


def with_windows(
    samples: Iterable[Sample],
    durations: Mapping[str, float],
    *,
    lengths: Sequence[float],
    overlap: float | None = None,
    stride: float | None = None,
) -> list[Sample]:
    """Return the samples and, behind them, the windows of the media that are searched or followed.

    A window's id says its split, media, start and end, so that it is the same whatever else is there;
    windows that are there already are not added again.

    Args:
        samples: Those of the kinds ``moment`` and ``stream`` say which media, in which split.
        durations: Seconds of each of these media.
        lengths: See `sliding_windows`.
        overlap: See `sliding_windows`.
        stride: See `sliding_windows`.

    Raises:
        ManifestError: The duration of a medium is not known.
        RecipeError: A number is out of its range, or there are both overlap and stride.
    """
    given = list(samples)
    ids = {s.id for s in given}
    found = []
    first: dict[tuple[str, str], Sample] = {}
    for sample in given:
        if sample.kind in (MOMENT, STREAM):
            first.setdefault((sample.split, sample.media), sample)
    for (split, media), asked in first.items():
        if media not in durations:
            raise ManifestError(
                f"sample '{asked.id}': the duration of '{media}' is not among the {len(durations)} given"
            )
        for start, end in sliding_windows(durations[media], lengths, overlap, stride=stride):
            name = f"window {split} {media} {start:.3f}-{end:.3f}"
            if name in ids:
                continue
            found.append(
                Sample(
                    id=name,
                    media=media,
                    start=start,
                    end=end,
                    target="",
                    kind=WINDOW,
                    split=split,
                    source=asked.source,
                    episode=asked.episode,
                )
            )
    return [*given, *found]
