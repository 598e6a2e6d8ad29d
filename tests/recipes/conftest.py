"""Real recipes on the real parts, shrunk to seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl.__main__ import main

ROOT = Path(__file__).parents[2]
#: Sizes of the clips, which a recipe of streams has not, and its own instead.
CLIPS = ("train", "val", "test", "novel")
STREAMS = [
    *("--data.train_streams", "2", "--data.val_streams", "1", "--data.test_streams", "2"),
    *("--data.shortest", "10", "--data.longest", "10"),
]


@pytest.fixture(scope="session")
def cache(new_cache: Callable[[], Path]) -> Path:
    """One cache for all recipes: clips are rendered once."""
    return new_cache()


@pytest.fixture
def command(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shrink: list[str]
) -> Callable[..., int]:
    """Run ``jepa-vl`` in a folder of its own beside the repository's recipes."""
    monkeypatch.setenv("JEPA_VL_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")

    def run(*words: str) -> int:
        if words[0] not in ("fit", "validate", "test", "predict") or "--help" in words:
            return main([*words])
        sizes = _of_streams(shrink) if any("recipes/streams" in word for word in words) else shrink
        return main([words[0], *sizes, *words[1:]])  # what a test says itself holds

    return run


def _of_streams(shrink: list[str]) -> list[str]:
    pairs = zip(shrink[::2], shrink[1::2], strict=True)
    clips = {f"--data.{split}_clips" for split in CLIPS}
    return [*(word for pair in pairs if pair[0] not in clips for word in pair), *STREAMS]
