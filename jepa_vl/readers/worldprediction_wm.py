"""WorldPrediction-WM: which of four clips leads from one state of the world to another."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from jepa_vl.data.video import MediaError
from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.media import MediaFolder
from jepa_vl.readers.stills import write_stills
from jepa_vl.sample import CHOICE, Sample

log = logging.getLogger(__name__)

VERSION = (
    "WorldPrediction-WM.json: {source: {uid: {states: {video, segment_start_time, segment_end_time}, "
    "candidates: [{segment_uid, video, segment_start_time, segment_end_time}, …], ground_truth}}}"
)
CHOICES = 4
STATES = "states"  # folder of the state images, in that of the media


class WorldPredictionWM(Reader):
    """WorldPrediction-WM, one question and its four clips as five samples.

    The images of the two states are cut out of the videos once; those that are there are not cut again.

    Args:
        annotations: ``WorldPrediction-WM.json``.
        media: Folder with a folder of videos for each source (``COIN``, ``CrossTask``,
            ``EPIC-KITCHENS-100``, ``IKEAASM``, ``EgoExo4D``); the state images are written to its folder
            ``states``.
        split: Name of the split in the manifest.
    """

    about = About(
        title="WorldPrediction-WM",
        task="world modelling",
        split="test",
        metric="accuracy, four choices",
        homepage="https://github.com/facebookresearch/WorldPrediction",
        licence="see its repository; the videos are those of COIN, CrossTask, EPIC-KITCHENS-100, IKEA ASM "
        "and Ego-Exo4D",
        assumptions=(
            "The keys are those that public code reads from the official file. A video lies at the path "
            "`video` of the file, below the folder of its source.",
            "The initial state is the frame at the beginning of the segment of `states`, the final one that "
            "at its end. Frames are drawn evenly from the two images, so each is seen several times, as the "
            "paper duplicates them.",
            "The number of questions is not checked; about 825 are reported.",
        ),
    )

    def __init__(self, *, annotations: str, media: str, split: str = "test") -> None:
        self.annotations = annotations
        self.media = Path(media)
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Write the state images of each item, and yield its four choices and the question."""
        videos = MediaFolder(self.media)
        for source, questions in read_json(self.annotations, VERSION).items():
            for uid, item in questions.items():
                self._write_states(videos, source, uid, item.at("states"))
                yield from self._of_item(source, uid, item)

    def _write_states(self, videos: MediaFolder, source: str, uid: str, states: Annotation) -> None:
        """Write the two images; where there is no video, the question then has no media."""
        video = videos.find(f"{source}/{states.text('video')}")
        seconds = _segment(states)
        if video is None:
            return
        try:
            write_stills(self.media / video, seconds, self.media / _states(source, uid))
        except MediaError as error:
            log.warning("no state images of '%s': %s", uid, error)

    def _of_item(self, source: str, uid: str, item: Annotation) -> Iterator[Sample]:
        candidates = item.at("candidates").entries()
        if len(candidates) != CHOICES:
            raise item.at("candidates").wrong(f"found {len(candidates)} candidates, expected {CHOICES}")
        uids = [candidate.text("segment_uid") for candidate in candidates]
        answer = uids.index(item.at("ground_truth").one_of(item.text("ground_truth"), uids))
        choices = tuple(f"worldprediction_wm/{source}/{uid}/{n}" for n in range(CHOICES))
        for choice, candidate in zip(choices, candidates, strict=True):
            start, end = _segment(candidate)
            yield Sample(
                id=choice,
                media=f"{source}/{candidate.text('video')}",
                start=start,
                end=end,
                target="",
                episode=uid,
                split=self.split,
                source="worldprediction_wm",
                kind=CHOICE,
            )
        yield Sample(
            id=f"worldprediction_wm/{source}/{uid}",
            media=_states(source, uid),
            target="",
            choices=choices,
            answer=choices[answer],
            episode=uid,
            split=self.split,
            source="worldprediction_wm",
        )


def _segment(entry: Annotation) -> tuple[float, float]:
    start, end = entry.number("segment_start_time"), entry.number("segment_end_time")
    if not 0 <= start < end:
        raise entry.wrong(f"found a segment from {start:g} to {end:g} s, expected one that ends later")
    return start, end


def _states(source: str, uid: str) -> str:
    """Folder of the state images of a question; ``segment|COIN|U9bZ_000`` itself is no name of a folder."""
    name = re.sub(r"[^\w.-]+", "_", uid)
    return f"{STATES}/{source}/{name}/images"
