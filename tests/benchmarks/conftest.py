"""The module that runs the benchmarks, loaded from its file: the folder is no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "run.py"


@pytest.fixture(scope="session")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_run", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks for its types
    spec.loader.exec_module(module)
    return module
