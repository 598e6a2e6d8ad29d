"""Small files in the official formats, and a reader's samples in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Any], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("a.json", value)`` → path; ``.json`` and ``.jsonl`` take values, others a text."""

    def to_file(name: str, content: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".json"):
            content = json.dumps(content)
        elif name.endswith(".jsonl"):
            content = "".join(json.dumps(line) + "\n" for line in content)
        path.write_text(content, encoding="utf-8")
        return str(path)

    return to_file
