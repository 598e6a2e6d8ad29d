"""A few episodes and a small data set, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jepa_vl_babyai.events import Clip, cut_clips
from jepa_vl_babyai.render import render_dataset
from jepa_vl_babyai.settings import Settings
from jepa_vl_babyai.world import Trace, play


@pytest.fixture(scope="session")
def traces() -> list[Trace]:
    return [play([7, number]) for number in range(20)]


@pytest.fixture(scope="session")
def clips(traces: list[Trace]) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [clip for trace in traces for clip in cut_clips(trace, Settings(), rng)]


@pytest.fixture(scope="session")
def small() -> Settings:
    return Settings(train_clips=60, val_clips=12, test_clips=20, novel_clips=8)


@pytest.fixture(scope="session")
def rendered(small: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("babyai") / "data"
    render_dataset(small, folder)
    return folder
