"""What tests of the library and of its plugins share: a cache that is not the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def new_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a cache of its own but for the weights, which all workers of a run convert once."""
    base = tmp_path_factory.getbasetemp()
    weights = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "weights"
    weights.mkdir(exist_ok=True)

    def make() -> Path:
        folder = tmp_path_factory.mktemp("cache")
        (folder / "weights").symlink_to(weights)
        return folder

    return make


@pytest.fixture(autouse=True, scope="session")
def _own_cache(new_cache: Callable[[], Path]) -> Iterator[None]:
    """Keep tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JEPA_VL_CACHE", str(new_cache()))
        yield
