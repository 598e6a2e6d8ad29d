"""The estimate against what a process really grows by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jepa_vl.planning.cards import Card
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import make_plan

WORKER = Path(__file__).with_name("memory_worker.py")
MIDDLE = {"dim": "384", "layers": "4", "heads": "6"}
TOLERANCE = 0.05


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or torch.cuda.is_available(), reason="the process's own memory")
@pytest.mark.parametrize("name", ["jepa", "token"])
def test_a_process_grows_by_what_was_planned(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    part = {"jepa": "predictor", "token": "language_model"}[name]
    words = [word for k, v in MIDDLE.items() for word in (f"objective.{part}.{k}", v)]
    make: Callable[..., dict[str, Any]] = request.getfixturevalue(name)
    more = ("data.batch_size", "32", "data.cache_features", "false", "objective.vision_encoder.tokens", "64")
    values = make(*words, *more)
    plan = make_plan(values, lengths=Lengths(8, 16), card=Card("test", 1.0, None, "nowhere"), utilisation=1.0)
    (tmp_path / "values.json").write_text(json.dumps(values))
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path / "values.json")],
        # each tensor by itself: what the allocator cannot use again is not the model's
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    grown = int(done.stdout)
    weights = sum(part.weights for part in plan.memory.parts.values())
    assert plan.memory.total - weights == pytest.approx(grown, rel=TOLERANCE)
    assert grown > 200 * 2**20  # enough for the process's own to be little beside it
