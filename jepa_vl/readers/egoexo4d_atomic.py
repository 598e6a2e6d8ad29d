"""Ego-Exo4D atomic descriptions: a stream of what a person does, each with its second."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.data.windows import STREAM, with_windows
from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = (
    "atomic_descriptions_val.json of Ego-Exo4D: {annotations: {take: [{descriptions: [{text, timestamp, "
    "ego_visible, unsure}]}]}}"
)
TAKES_VERSION = (
    "takes.json of Ego-Exo4D: a list of {take_uid, root_dir, parent_task_name, duration_sec, "
    "frame_aligned_videos}"
)
PROCEDURAL = ("Cooking", "Bike Repair", "Health")


class EgoExo4DAtomic(Reader):
    """Ego-Exo4D's atomic descriptions as annotated streams.

    A sample is one text of one take: its ``timestamps`` are the seconds at which the text is said, and its
    clip is the window around the first of them. The sliding windows of each take follow.

    Args:
        annotations: ``atomic_descriptions_val.json``.
        takes: ``takes.json``: where each take's egocentric video lies, and how long it is.
        scenarios: Scenarios that are read; the default are the procedural ones.
        split: Name of the split in the manifest.
        window: Seconds of a sliding window.
        stride: Seconds from one window to the next.
    """

    about = About(
        title="Ego-Exo4D atomic descriptions",
        task="streaming",
        split="validation",
        metric="CIDEr of the text said nearest in time",
        homepage="https://docs.ego-exo4d-data.org/annotations/atomic_descriptions/",
        licence="Ego-Exo4D licence agreement, signed once; downloaded with its own command line",
        assumptions=(
            "The paper takes the 218 procedural videos of the validation set; procedural is read as the "
            "scenarios Cooking, Bike Repair and Health.",
            "Descriptions of all annotators of a take are kept; those marked as unsure, or as not visible "
            "from the wearer's camera, are left out.",
            "The egocentric video is the colour stream of the Aria glasses.",
            "A take's `duration_sec` is the length of its video.",
            "The paper gives neither window nor stride; 2 s every 0.5 s allow its densest rate, 2 Hz.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        takes: str,
        scenarios: tuple[str, ...] = PROCEDURAL,
        split: str = "val",
        window: float = 2.0,
        stride: float = 0.5,
    ) -> None:
        self.annotations = annotations
        self.takes = takes
        self.scenarios = scenarios
        self.split = split
        self.window = window
        self.stride = stride

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a text of a take, and then the windows of all takes."""
        durations: dict[str, float] = {}
        texts = list(self._texts(durations))
        yield from with_windows(texts, durations, lengths=[self.window], stride=self.stride)

    def _texts(self, durations: dict[str, float]) -> Iterator[Sample]:
        """Yield the texts; notes the seconds of each video that they are of."""
        takes = {take.text("take_uid"): take for take in read_json(self.takes, TAKES_VERSION).entries()}
        for uid, passes in read_json(self.annotations, VERSION).at("annotations").items():
            if uid not in takes:
                raise passes.wrong(f"take '{uid}' is not in {self.takes}")
            if takes[uid].text("parent_task_name") not in self.scenarios:
                continue
            said = _said(passes)
            if not said:
                continue
            media = _egocentric(takes[uid])
            durations[media] = takes[uid].number("duration_sec")
            for number, (text, seconds) in enumerate(said.items(), start=1):
                start = max(0.0, min(min(seconds), durations[media]) - self.window / 2)
                yield Sample(
                    id=f"egoexo4d_atomic/{uid}/{number}",
                    media=media,
                    start=start,
                    end=min(start + self.window, durations[media]),
                    target=text,
                    timestamps=tuple(sorted(seconds)),
                    episode=uid,
                    split=self.split,
                    source="egoexo4d_atomic",
                    kind=STREAM,
                )


def _said(passes: Annotation) -> dict[str, list[float]]:
    """Text → seconds at which it is said, over all annotators."""
    said: dict[str, list[float]] = {}
    for one in passes.entries():
        for description in one.at("descriptions").entries():
            unsure = description.has("unsure") and bool(description.at("unsure").value)
            if description.has("text") and description.at("ego_visible").value and not unsure:
                said.setdefault(description.text("text"), []).append(description.number("timestamp"))
    return said


def _egocentric(take: Annotation) -> str:
    for camera, streams in take.at("frame_aligned_videos").items():
        if "aria" in camera.lower() and streams.has("rgb"):
            return f"{take.text('root_dir')}/{streams.at('rgb').text('relative_path')}"
    raise take.wrong("no colour stream of Aria glasses among its frame_aligned_videos")
