"""CrossTask: instruction videos of 18 tasks, with the seconds of each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jepa_vl.errors import ManifestError
from jepa_vl.readers.annotation import read_csv, read_text
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "the folder crosstask_release: tasks_primary.txt, videos.csv, videos_val.csv, annotations/"
CARD = "five lines a task (number, name, address, number of steps, steps by commas) and an empty one"


@dataclass(frozen=True)
class _Task:
    name: str
    steps: list[str]


class CrossTask(Reader):
    """CrossTask's primary tasks, one video (task) or one step of it (step) a sample.

    Args:
        annotations: The folder ``crosstask_release``.
        mode: ``task``: the whole video, labelled with its task. ``step``: a step, labelled with what is done.
        part: Which videos: those of ``videos_val.csv``, the others, or all.
    """

    about = About(
        title="CrossTask",
        task="classification",
        split="videos_val.csv",
        metric="top-1 accuracy over the steps, or the 18 tasks",
        homepage="https://github.com/DmZhukov/CrossTask",
        licence="code BSD 3-Clause; for annotations none is stated; the videos are YouTube's",
        assumptions=(
            "The paper does not say which videos it takes; the default is the release's own validation list.",
            "Only the 18 primary tasks are read: the related ones have no steps with seconds.",
            "Videos of the list that have no file of steps are left out with mode `step`, and so are steps "
            "that end before they begin.",
            "Steps of different tasks that are worded alike are one class.",
            "Videos are called after their YouTube id, all in one folder.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        mode: Literal["step", "task"] = "step",
        part: Literal["val", "train", "all"] = "val",
    ) -> None:
        self.annotations = annotations
        self.mode = mode
        self.part = part

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a video, or one a step."""
        folder = Path(self.annotations)
        tasks = _tasks(folder / "tasks_primary.txt")
        val = set(_videos(folder / "videos_val.csv"))
        every = [*_videos(folder / "videos.csv"), *val]
        for number, video in dict.fromkeys(every):
            split = "val" if (number, video) in val else "train"
            if number in tasks and self.part in (split, "all"):
                yield from self._of_video(folder, number, tasks[number], video, split)

    def _of_video(self, folder: Path, number: str, task: _Task, video: str, split: str) -> Iterator[Sample]:
        def sample(name: str, place: str, start: float | None = None, end: float | None = None) -> Sample:
            return Sample(
                id=f"crosstask/{number}/{video}{place}",
                media=f"{video}.mp4",
                start=start,
                end=end,
                target=name,
                label=name,
                episode=video,
                split=split,
                source="crosstask",
                kind=self.mode,
            )

        if self.mode == "task":
            yield sample(task.name, "")
            return
        path = folder / "annotations" / f"{number}_{video}.csv"
        if not path.is_file():
            return
        rows = read_csv(path, VERSION, ("step", "start", "end"), header=False)
        for place, row in enumerate(rows, start=1):
            step = round(row.number("step"))
            if not 1 <= step <= len(task.steps):
                raise row.wrong(f"step {step} of a task with {len(task.steps)} steps")
            start, end = row.number("start"), row.number("end")
            if end > start:
                yield sample(task.steps[step - 1], f"/{place}", start, end)


def _tasks(path: Path) -> dict[str, _Task]:
    lines = [line.strip() for line in read_text(path, VERSION).splitlines()]
    tasks: dict[str, _Task] = {}
    for first in range(0, len(lines), 6):
        card = lines[first : first + 5]
        if not any(card):
            continue
        steps = card[4].split(",") if len(card) == 5 else []
        if len(steps) == 0 or card[3] != str(len(steps)):
            raise ManifestError(f"{path}, line {first + 1}: not the card of a task; expected {CARD}")
        tasks[card[0]] = _Task(card[1], [step.strip() for step in steps])
    return tasks


def _videos(path: Path) -> list[tuple[str, str]]:
    rows = read_csv(path, VERSION, ("task", "video", "url"), header=False)
    return [(row.text("task"), row.text("video")) for row in rows]
