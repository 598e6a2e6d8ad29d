from __future__ import annotations

from pathlib import Path

import pytest

from jepa_vl.cache import cache_dir


def test_our_variable_wins_over_the_desktop_standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("JEPA_VL_CACHE", raising=False)
    assert cache_dir("data") == tmp_path / "xdg" / "jepa-vl" / "data"
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path / "own"))
    assert cache_dir("data", "x") == tmp_path / "own" / "data" / "x"
    assert cache_dir("data", "x").is_dir()
