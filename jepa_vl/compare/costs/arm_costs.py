"""What inference costs with each arm of a comparison: of its first finished run, in ``cost.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from jepa_vl.checkpoint import read_checkpoint
from jepa_vl.compare.costs.inference import BATCHES, CANDIDATES, FRAMES, inference_cost
from jepa_vl.compare.costs.rows import ArmCosts, CostRow, InferenceCosts
from jepa_vl.compare.records import comparison_folder
from jepa_vl.compare.runs.decoder import decoder_finished
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.compare.runs.run_state import read_record
from jepa_vl.decoders.given import with_decoder
from jepa_vl.errors import UserError
from jepa_vl.results.run_info import machine

FILE = "cost.json"


def measure_arms(
    comparison: str,
    jobs: Sequence[Job],
    *,
    frames: Sequence[int] = FRAMES,
    candidates: Sequence[int] = CANDIDATES,
    batches: Sequence[int] = BATCHES,
    say: Callable[[str], None],
) -> Path:
    """Measure the arms that are not in the file yet, one after the other in this process.

    An arm is measured again when the run that was measured has been trained anew. Nothing else should keep
    the machine busy meanwhile.

    Args:
        comparison: Its name.
        jobs: All of them, in any order; of each arm the first one that is finished, and whose checkpoint is
            still there, is measured.
        frames: See `inference_cost`.
        candidates: See `inference_cost`.
        batches: See `inference_cost`.
        say: Takes lines for the user.

    Returns:
        The file.
    """
    path = comparison_folder(comparison) / FILE
    known = InferenceCosts.load(path).root if path.exists() else {}
    costs: dict[str, ArmCosts] = {}
    for job in jobs:
        record = read_record(job.folder)
        if job.arm in costs or record is None or record.state != "finished":
            continue
        run = f"{job.name} {job.decoder_key}"
        if job.arm in known and known[job.arm].run == run:
            costs[job.arm] = known[job.arm]
            continue
        say(f"measuring what inference costs: {job.arm}")
        try:
            rows = _rows(job.values, job.folder, frames=frames, candidates=candidates, batches=batches)
            if job.decoder is not None and decoder_finished(job):
                values = with_decoder(job.values, job.folder / "decoder")
                of_decoder = _rows(values, job.folder, frames=frames, candidates=(), batches=batches)
                rows += [r.model_copy(update={"part": "decoder"}) for r in of_decoder if r.part == "decoding"]
        except UserError as error:  # its checkpoint is gone, say
            say(f"{job.name} cannot be measured: {error}")
            continue
        costs[job.arm] = ArmCosts(rows=rows, run=run, machine=_here())
        InferenceCosts({**known, **costs}).save(path)
    InferenceCosts(costs).save(path)
    return path


def _rows(values: dict[str, Any], folder: Path, **sizes: Any) -> list[CostRow]:
    parts, _ = build_parts({**values, "init_from": None})
    last = folder / "checkpoints" / "last.ckpt"
    parts.objective.load_state_dict(read_checkpoint(last)["state_dict"])
    parts.data.prepare_data()
    parts.data.setup("test")
    return inference_cost(parts.objective.to(_device()), parts.data, **sizes)


def _here() -> dict[str, Any]:
    return machine() | {"threads": torch.get_num_threads(), "device": str(_device())}


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
