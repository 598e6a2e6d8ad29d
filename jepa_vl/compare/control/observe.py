"""What an arm does, seen on its built parts and not on its recipe: one value for each check."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule, seed_everything
from lightning.pytorch.cli import LightningArgumentParser

from jepa_vl.cli.build import Parts
from jepa_vl.compare.budgets import step_of
from jepa_vl.compare.control.order import Order, training_order
from jepa_vl.compare.control.rates import rates
from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.compare.runs.job import with_seed
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.data.base import SampleData
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.manifest import ManifestData
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.sample import Sample
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint

NONE = "none"


@dataclass(frozen=True)
class Observed:
    """What was seen of an arm.

    Attributes:
        values: Check → what is compared, in the order of the sheet.
        test_sets: Names of its test sets.
        passes: How many times its whole run goes through the training samples.
    """

    values: dict[str, str]
    test_sets: list[str]
    passes: float


def observe(comparison: Comparison, arm: Arm, read: list[Catalogue] | None = None) -> Observed:
    """Build an arm with the first seed, and look at everything that a comparison holds equal.

    Its data are made if they are not there; no media are read for it but to hash them, and nothing is
    trained.

    Args:
        comparison: Whose budgets and seeds are looked at.
        arm: One of its arms.
        read: What was read for the arms before; an arm of the same manifests takes it over, another one
            appends its own.

    Raises:
        UserError: A part is not installed here, or refuses its arguments; the data cannot be read.
    """
    first, *others = comparison.seeds
    parts, _ = build_parts(with_seed(arm.values, first))
    objective, data, options = parts.objective, parts.data, parts.trainer
    run = {
        "steps": int(options["max_steps"]),
        "accumulate": int(options.get("accumulate_grad_batches") or 1),
        "processes": processes(options),
    }
    _make(data)
    read = [] if read is None else read
    _read(data, read)
    data.setup("fit")
    # before anything draws from the global generator: an order that depends on it differs between arms
    order = training_order(data, **run)
    orders = [order, *(_order_of(arm, seed, objective, read, run) for seed in others)]
    train = data.sample_set(data.train_split).samples
    val = [(name, data.sample_set(name).samples) for name in data.val_sets]
    data.setup("test")
    test = [(name, data.sample_set(name).samples) for name in data.test_sets]
    values = {
        "data": data.data_hash,
        "training samples": _samples([(data.train_split, train)]),
        "validation samples": _samples(val),
        "test samples": _samples(test),
        "sample order": ", ".join(each.hash for each in orders),
        "steps": _steps(order, options),
        "batch": _batch(order, run),
        **_vision(objective.vision_encoder),
        **_training(parts, comparison.budgets),
        **_tasks(parts),
    }
    return Observed(values, [name for name, _ in test], order.passes)


def processes(options: dict[str, Any]) -> int:
    """Return how many processes a trainer's options ask for, as far as can be told on this machine.

    Raises:
        RecipeError: ``devices`` is no number.
    """
    devices = options.get("devices", "auto")
    if isinstance(devices, list | tuple):
        count = len(devices)
    elif str(devices) in ("auto", "-1"):
        count = 1 if options.get("accelerator") == "cpu" else max(1, torch.cuda.device_count())
    elif "," in str(devices):
        count = len([d for d in str(devices).split(",") if d])
    elif str(devices).isdigit():
        count = int(devices)
    else:
        raise RecipeError(f"trainer.devices must be a number, a list of numbers or auto, found {devices!r}")
    return count * int(options.get("num_nodes") or 1)


def _make(data: SampleData) -> None:
    """Make the data. Caches of tokens can wait, unless they say which clips are left out."""
    if isinstance(data, ManifestData) and not data.max_bad_media:
        data.make()
    else:
        data.prepare_data()


def _read(data: SampleData, read: list[Catalogue]) -> None:
    """Let data that are made take over what was read of the same manifests, or append what they read."""
    if not isinstance(data, ManifestData):
        return
    for catalogue in read:
        data.take_catalogue(catalogue)
    if data.catalogue not in read:
        read.append(data.catalogue)


def _order_of(arm: Arm, seed: int, objective: Objective, read: list[Catalogue], run: dict[str, int]) -> Order:
    """Return the order of the training samples with another seed; the data alone are built again."""
    seed_everything(seed, workers=True, verbose=False)
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(SampleData, "data", subclass_mode=True)
    values = {"data": copy.deepcopy(with_seed(arm.values, seed)["data"])}
    data: SampleData = parser.instantiate_classes(parser.parse_object(values)).data
    data.attach(objective)
    _read(data, read)
    data.setup("fit")
    return training_order(data, **run)


def _samples(sets: Iterable[tuple[str, list[Sample]]]) -> str:
    told = []
    for name, samples in sets:
        digest = hashlib.sha256()
        for sample in samples:
            digest.update(f"{sample.model_dump_json(exclude_defaults=True)}\n".encode())
        told.append(f"{name} {len(samples):,} · {digest.hexdigest()}")
    return ", ".join(told) or NONE


def _steps(order: Order, options: dict[str, Any]) -> str:
    limits = ("max_epochs", "max_time", "limit_train_batches")
    more = "".join(f", {key} {options[key]}" for key in limits if options.get(key) is not None)
    return (
        f"{int(options['max_steps']):,} steps, {order.samples:,} samples, {order.passes:.2f} passes through "
        f"{order.pool:,}, one sample at most {order.most} times{more}"
    )


def _batch(order: Order, run: dict[str, int]) -> str:
    whole = order.batch * run["processes"] * run["accumulate"]
    return f"{order.batch} × {run['processes']} process(es) × {run['accumulate']} accumulated = {whole}"


def _vision(encoder: VisionEncoder | None) -> dict[str, str]:
    names = ("vision weights", "vision fingerprint", "vision training", "preprocessing", "frames")
    if encoder is None:
        return dict.fromkeys(names, NONE)
    read = encoder.preprocessing
    learns = sorted(name for name, p in encoder.named_parameters() if p.requires_grad)
    trained = "frozen" if encoder.frozen and not learns else f"trained: {len(learns)} tensors"
    grid = " × ".join(str(n) for n in encoder.grid)
    values = (
        fingerprint({}, encoder),
        f"{type(encoder).__name__} · {encoder.fingerprint()}",
        trained,
        _preprocessing(read),
        f"{read.num_frames} frames, {grid} tokens of width {encoder.dim}",
    )
    return dict(zip(names, values, strict=True))


def _preprocessing(read: Preprocessing) -> str:
    height, width = read.size
    mean, std = (" ".join(f"{n:.6g}" for n in numbers) for numbers in (read.mean, read.std))
    side = "" if read.resize_to is None else f" to {read.resize_to}"
    return f"{height} × {width}, mean {mean}, std {std}, {read.interpolation}, {read.resize_mode}{side}"


def _training(parts: Parts, budgets: Iterable[float]) -> dict[str, str]:
    objective, options = parts.objective, parts.trainer
    steps = int(options["max_steps"])
    learns = rates(objective, steps=steps, at=[step_of(budget, steps) for budget in budgets])
    clip = options.get("gradient_clip_val")
    kind = options.get("gradient_clip_algorithm") or "norm"
    clipping = f"{kind} {clip}" if clip else NONE
    known = (LightningModule.configure_gradient_clipping, TrainedObjective.configure_gradient_clipping)
    if type(objective).configure_gradient_clipping not in known:
        clipping += f", by {type(objective).__name__} itself"
    dtypes = sorted({str(p.dtype).removeprefix("torch.") for p in objective.parameters() if p.requires_grad})
    return {
        "learning rate": f"{learns.rate:g}",
        "schedule": learns.schedule,
        "optimizer": learns.optimizer,
        "weight decay": f"{learns.weight_decay:g}",
        "gradient clipping": clipping,
        "precision": f"{options.get('precision') or '32-true'}, trained weights {' and '.join(dtypes)}",
    }


def _tasks(parts: Parts) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for task in parts.tasks:
        options = json.dumps(task.options(), sort_keys=True, default=str)
        found.setdefault(f"task {task.name}", []).append(f"{type(task).__name__} {options}")
    return {name: "; ".join(told) for name, told in found.items()}
