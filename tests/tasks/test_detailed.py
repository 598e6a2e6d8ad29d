"""What tasks say beyond rows: one file a task, by sample set, and none where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jepa_vl.tasks.detailed import save_details
from jepa_vl.tasks.hard_negatives import HardNegativesTask


class Says(HardNegativesTask):
    def __init__(self, **said: Any) -> None:
        super().__init__()
        self.said = said

    def details(self) -> dict[str, Any]:
        return self.said


def test_each_task_has_a_file_with_its_sets(tmp_path: Path) -> None:
    written = save_details(tmp_path / "run", {"test": [Says(a=1), HardNegativesTask()], "novel": [Says(a=2)]})
    assert written == [tmp_path / "run" / "hard_negatives.json"]
    assert json.loads(written[0].read_text()) == {"test": {"a": 1}, "novel": {"a": 2}}


def test_nothing_to_say_is_no_file(tmp_path: Path) -> None:
    assert save_details(tmp_path, {"test": [Says(), HardNegativesTask()]}) == []
    assert not list(tmp_path.iterdir())
