"""What ``jepa-vl predict`` writes: an answer for each sample, and its embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import distributed

from jepa_vl.data.base import SampleData
from jepa_vl.objectives.base import SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.whole_file import replacing, write_whole

PREDICTIONS, EMBEDDINGS = "predictions.jsonl", "embeddings.npy"


class Predictions(Callback):
    """Writes ``predictions.jsonl``, a line for each sample, and ``embeddings.npy``, a row for each line.

    A line has the sample's ``id``, ``split``, ``query`` and ``target``; ``answer`` and ``score``, the
    likeliest of its candidates (of the class names, for a sample with a label); and ``text``, if the
    objective can speak.

    Args:
        folder: The run's folder.
        data: The data module of the trainer.
    """

    def __init__(self, *, folder: Path, data: SampleData) -> None:
        self.folder = folder
        self.data = data
        self._rows: dict[tuple[int, int], tuple[dict[str, Any], Any]] = {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the rows of a batch."""
        assert isinstance(pl_module, Objective)
        choices = [self._choices(sample) for sample in batch.samples]
        scores: list[torch.Tensor] | None = None
        if SCORE in pl_module.abilities and any(choices):
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                # a sample without a choice is scored too, so that there is one call, and not shown
                scores = pl_module.score(
                    batch, [c or [s.target] for c, s in zip(choices, batch.samples, strict=True)]
                )
        for i, (sample, said) in enumerate(zip(batch.samples, outputs, strict=True)):
            row: dict[str, Any] = {
                "id": sample.id,
                "split": sample.split,
                "query": sample.query,
                "target": sample.target,
            }
            if scores is not None and choices[i]:
                best = int(scores[i].argmax())
                row |= {"answer": choices[i][best], "score": round(float(scores[i][best]), 6)}
            if "text" in said:
                row["text"] = said["text"]
            embedding = said.get("embedding")
            array = None if embedding is None else embedding.float().cpu().numpy()
            self._rows[dataloader_idx, int(batch.index[i])] = (row, array)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rows of all processes, in the order of the data."""
        parts = [self._rows]
        if trainer.world_size > 1:
            parts = [{} for _ in range(trainer.world_size)]
            distributed.all_gather_object(parts, self._rows)
        rows = [row for _, row in sorted({k: v for part in parts for k, v in part.items()}.items())]
        if not trainer.is_global_zero:
            return
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row, _ in rows)
        write_whole(self.folder / PREDICTIONS, "".join(lines))
        embeddings = [array for _, array in rows if array is not None]
        if embeddings:
            with replacing(self.folder / EMBEDDINGS) as part, part.open("wb") as file:
                np.save(file, np.stack(embeddings))

    def _choices(self, sample: Sample) -> list[str]:
        if sample.candidates:
            return list(sample.candidates)
        return self.data.labels if sample.label is not None else []
