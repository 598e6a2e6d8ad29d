from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from lightning import Trainer

from jepa_vl.data.manifest import ManifestData


def test_smoke(make_manifest: Callable[..., Path], objective, tmp_path: Path) -> None:
    data = ManifestData(manifest=str(make_manifest()), batch_size=4, seed=1)
    trainer = Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path)
    trainer.fit(objective, data)
    assert len(objective.seen) == 6
    trainer.test(objective, data)
    print(objective.tested)
