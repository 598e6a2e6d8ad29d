"""Real recipes on the real parts, shrunk to seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all recipes: weights are converted once, clips rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shrink: list[str]
) -> Callable[..., int]:
    """Run ``jepa-vl`` in a folder of its own beside the repository's recipes."""
    monkeypatch.setenv("JEPA_VL_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")

    def run(*words: str) -> int:
        shrunk = words[0] in ("fit", "validate", "test", "predict") and "--help" not in words
        return main([*words, *(shrink if shrunk else [])])

    return run
