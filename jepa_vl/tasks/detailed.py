"""What a task has to say beyond rows of results, curves for instance: a file of its own beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jepa_vl.tasks.base import Task
from jepa_vl.whole_file import write_whole


@runtime_checkable
class Detailed(Protocol):
    """A task with more to say than fits a table."""

    def details(self) -> dict[str, Any]:
        """Return a JSON object, as of the last `compute`; empty where nothing concerned the task."""


def save_details(folder: Path, sets: Mapping[str, Sequence[Task]]) -> list[Path]:
    """Write ``TASK.json``, details by the name of the sample set, for each task that has some.

    Args:
        folder: Of the run.
        sets: The tasks that were computed, by sample set.

    Returns:
        The files; a reader never sees half of one.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, tasks in sets.items():
        for task in tasks:
            if isinstance(task, Detailed) and (of := task.details()):
                found.setdefault(task.name, {})[name] = of
    written = []
    for task_name, by_set in found.items():
        path = folder / f"{task_name}.json"
        write_whole(path, json.dumps(by_set, indent=1) + "\n")
        written.append(path)
    return written
