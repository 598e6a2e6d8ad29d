"""``python ddp_worker.py OBJECTIVE DEVICES MODEL OUT``: train a few steps, save the weights that learned.

OBJECTIVE is ``token``, ``jepa``, or ``jepa in parts``, which embeds one sample at once where there are two processes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))
from conftest import QUERIES, SETTINGS, TARGETS, Patches, items  # type: ignore[import-not-found]

from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.text.hf_text import HFText

# a large epsilon, so that Adam does not blow up gradients that are rounding noise around zero
OPTIMIZER = replace(SETTINGS, eps=1e-3)


def build(name: str, model: str, *, micro_batch: int | None) -> TrainedObjective:
    if name == "token":
        lm = TransformerLM(dim=32, layers=2, heads=2, model=model)
        return TokenObjective(vision_encoder=Patches(), language_model=lm, optimizer=OPTIMIZER)
    return JEPAObjective(
        vision_encoder=Patches(),
        predictor=TransformerPredictor(dim=32, layers=2, heads=2, query_model=model),
        text_encoder=HFText(model=model),
        loss=InfoNCE(),
        embed_dim=16,
        optimizer=OPTIMIZER,
        micro_batch=micro_batch,
    )


def main() -> None:
    name, devices, model, out = sys.argv[1:]
    seed_everything(0)
    in_parts = name == "jepa in parts" and int(devices) > 1
    objective = build(name, model, micro_batch=1 if in_parts else None)
    # the first batch has no query; a repeated target lies on both ranks
    queries = [""] * 4 + QUERIES
    chosen = items([*TARGETS, "red", "no", "a red ball next to the box", "red"], queries)
    rank, size = int(os.environ.get("LOCAL_RANK", 0)), int(devices)
    loader = DataLoader(chosen[rank::size], batch_size=4 // size, collate_fn=objective.collator())  # type: ignore[arg-type]
    # in order: four samples a step in all, whatever the number of processes
    trainer = Trainer(
        use_distributed_sampler=False,
        accelerator="cpu",
        devices=int(devices),
        strategy="ddp" if int(devices) > 1 else "auto",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(Path(out).parent),
    )
    trainer.fit(objective, loader)
    if trainer.is_global_zero:
        torch.save({n: p.detach() for n, p in objective.named_parameters() if p.requires_grad}, out)


if __name__ == "__main__":
    main()
