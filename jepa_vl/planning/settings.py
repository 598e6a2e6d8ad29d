"""What a recipe says about the size of a run: batch, processes, steps, precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from jepa_vl.compare.control.observe import processes
from jepa_vl.errors import RecipeError

#: The trainer's precision → number format of the weights, and of what autocast computes in.
PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "32-true": (torch.float32, None),
    "64-true": (torch.float64, None),
    "bf16-true": (torch.bfloat16, None),
    "16-true": (torch.float16, None),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "16-mixed": (torch.float32, torch.float16),
}
_SHORT = {"None": "32-true", "32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


@dataclass(frozen=True)
class RunSize:
    """How much a recipe trains.

    Attributes:
        batch: Samples of one process in one pass.
        accumulate: Passes to an optimizer step.
        processes: Devices × nodes.
        shards: Over how many processes weights, gradients and optimizer states are spread.
        buckets: Whether DDP holds a second copy of the gradients.
        steps: Optimizer steps; None where the recipe does not say.
        precision: The trainer's word.
        cached: Whether a frozen vision encoder's tokens are read from a cache.
        cache_bytes: Bytes of a number there.
        notes: What had to be assumed.
    """

    batch: int
    accumulate: int
    processes: int
    shards: int
    buckets: bool
    steps: int | None
    precision: str
    cached: bool
    cache_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def global_batch(self) -> int:
        """Samples to an optimizer step."""
        return self.batch * self.processes * self.accumulate

    @classmethod
    def of(cls, values: dict[str, Any]) -> RunSize:
        """Read a recipe that is resolved and has its defaults.

        Raises:
            RecipeError: Its data module has no ``batch_size``, its precision is none that can be planned, or
                it trains nothing at a time.
        """
        trainer, data, notes = values["trainer"], values["data"]["init_args"], []
        batch = data.get("batch_size")
        if not isinstance(batch, int):
            name = values["data"]["class_path"].rpartition(".")[2]
            raise RecipeError(f"data {name} has no batch_size, without which nothing can be planned")
        count = processes(trainer)
        accumulate = trainer.get("accumulate_grad_batches", 1)
        for key, number in (
            ("data.batch_size", batch),
            ("trainer.devices × trainer.num_nodes", count),
            ("trainer.accumulate_grad_batches", accumulate),
        ):
            if number < 1:
                raise RecipeError(f"{key} must be 1 or more, found {number}")
        if str(trainer.get("devices", "auto")) in ("auto", "-1"):
            notes.append(f"trainer.devices is 'auto': here, that is {count} process(es)")
        steps = trainer.get("max_steps")
        if steps is None or steps < 0:
            steps = None
            notes.append("the recipe sets no trainer.max_steps: there is no whole run to count")
        shards = _shards(trainer.get("strategy"), count)
        options = (
            trainer["strategy"].get("init_args", {}) if isinstance(trainer.get("strategy"), dict) else {}
        )
        return cls(
            batch=batch,
            accumulate=accumulate,
            processes=count,
            shards=shards,
            buckets=count > 1 and shards == 1 and not options.get("gradient_as_bucket_view"),
            steps=steps,
            precision=_precision(trainer.get("precision")),
            cached=bool(data.get("cache_features")),
            cache_bytes=getattr(torch, data.get("cache_dtype") or "float32").itemsize,
            notes=tuple(notes),
        )


def _precision(value: Any) -> str:
    word = _SHORT.get(str(value), str(value))
    if word not in PRECISIONS:
        raise RecipeError(f"trainer.precision {value} cannot be planned; choose from {', '.join(PRECISIONS)}")
    return word


def _shards(strategy: Any, count: int) -> int:
    if not isinstance(strategy, dict) or not strategy["class_path"].endswith(".ModelParallelStrategy"):
        return 1
    size = strategy.get("init_args", {}).get("data_parallel_size", "auto")
    return count if size == "auto" else int(size)
