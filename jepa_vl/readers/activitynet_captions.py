"""ActivityNet Captions: paragraph-to-video retrieval, and the search for moments in long videos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from jepa_vl.data.windows import MOMENT, with_windows
from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "val_1.json or val_2.json of ActivityNet Captions (video → duration, timestamps, sentences)"
PARAGRAPHS = {"val_1": 4917, "val_2": 4885}


class ActivityNetCaptions(Reader):
    """The sentences of a video as one paragraph, or each sentence as a moment to find.

    Args:
        annotations: val_1.json or val_2.json.
        fold: Which of the two it is; the name of the split.
        mode: ``paragraphs`` gives a sample a video for retrieval; ``moments`` gives a sample a sentence,
            and the sliding windows that are searched.
        windows: Lengths in seconds of the windows of ``moments``; each slides by half its length.
    """

    about: ClassVar[About] = About(
        title="ActivityNet Captions",
        task="retrieval; moment retrieval with --mode moments",
        split="val_1",
        metric="text-to-video R@1 of paragraphs; R@1 at IoU .5 and .7 of moments",
        homepage="https://cs.stanford.edu/people/ranjaykrishna/densevid/",
        licence="not stated with the captions; videos are YouTube's",
        expected=PARAGRAPHS,
        assumptions=(
            "The paper names no fold; val_1 with its 4,917 videos is the usual one.",
            "The sentences of a video are joined by a space, in the order of the file.",
            "Moments: times are ordered and cut at the end of the video; one without length is left out.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        fold: Literal["val_1", "val_2"] = "val_1",
        mode: Literal["paragraphs", "moments"] = "paragraphs",
        windows: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0),
    ) -> None:
        self.annotations = annotations
        self.fold = fold
        self.mode = mode
        self.windows = windows

    def expected(self) -> dict[str, int]:
        """Return the number of videos of the fold; that of moments and windows is not published."""
        return {self.fold: PARAGRAPHS[self.fold]} if self.mode == "paragraphs" else {}

    def samples(self) -> Iterator[Sample]:
        """Yield the paragraph of each video; or its moments, and then the windows to search."""
        videos = read_json(self.annotations, VERSION).items()
        if self.mode == "paragraphs":
            yield from (self._paragraph(video, entry) for video, entry in videos)
            return
        durations = {f"{video}.mp4": _duration(entry) for video, entry in videos}
        moments = [moment for video, entry in videos for moment in self._moments(video, entry)]
        yield from with_windows(moments, durations, lengths=self.windows)

    def _paragraph(self, video: str, entry: Annotation) -> Sample:
        text = " ".join(s.strip() for s in entry.texts("sentences") if s.strip())
        if not text:
            raise entry.at("sentences").wrong("there is no sentence")
        return Sample(
            id=f"activitynet_captions/{video}",
            media=f"{video}.mp4",
            target=text,
            episode=video,
            split=self.fold,
            source="activitynet_captions",
        )

    def _moments(self, video: str, entry: Annotation) -> Iterator[Sample]:
        duration = _duration(entry)
        sentences = entry.texts("sentences")
        times = entry.at("timestamps").entries()
        if len(times) != len(sentences):
            raise entry.at("timestamps").wrong(f"found {len(times)} times for {len(sentences)} sentences")
        for n, (time, text) in enumerate(zip(times, sentences, strict=True)):
            start, end = (min(t, duration) for t in _span(time))
            if end > start and text.strip():
                yield Sample(
                    id=f"activitynet_captions/{video}/{n}",
                    media=f"{video}.mp4",
                    start=start,
                    end=end,
                    target=text.strip(),
                    kind=MOMENT,
                    episode=video,
                    split=self.fold,
                    source="activitynet_captions",
                )


def _duration(entry: Annotation) -> float:
    duration = entry.number("duration")
    if duration <= 0:
        raise entry.at("duration").wrong(f"found {duration:g}, expected seconds above 0")
    return duration


def _span(time: Annotation) -> tuple[float, float]:
    """Return start and end in seconds; some of the official ones stand in the other order."""
    pair = time.value
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(t, int | float) for t in pair):
        raise time.wrong(f"found {pair}, expected a start and an end in seconds")
    return max(0.0, min(pair)), max(0.0, *pair)
