"""Which keys of a recipe decide which check, so that a listed difference explains no more than it can."""

from __future__ import annotations

from jepa_vl.compare.difference import within

_LENGTH = ("trainer.max_steps",)
_BATCH = ("data.batch_size", "trainer.devices", "trainer.num_nodes", "trainer.accumulate_grad_batches")
_SIZE = ("trainer.max_epochs", "trainer.max_time", "trainer.limit_train_batches")
#: Check → the keys of a recipe that decide it: a listed difference in one of them explains another value.
DECIDES: dict[str, tuple[str, ...]] = {
    "data": ("data",),
    "training samples": ("data",),
    "validation samples": ("data",),
    "test samples": ("data",),
    "sample order": ("data", *_LENGTH, *_BATCH),
    "steps": ("data", *_LENGTH, *_BATCH, *_SIZE),
    "batch": _BATCH,
    "vision weights": ("objective.vision_encoder", "init_from"),
    "vision fingerprint": ("objective.vision_encoder", "init_from"),
    "vision training": ("objective.vision_encoder",),
    "preprocessing": ("objective.vision_encoder",),
    "frames": ("objective.vision_encoder",),
    "learning rate": ("objective.optimizer.lr",),
    "schedule": (
        "objective.optimizer.schedule",
        "objective.optimizer.warmup_steps",
        "objective.optimizer.floor",
        *_LENGTH,
    ),
    "optimizer": ("objective.optimizer.betas", "objective.optimizer.eps"),
    "weight decay": ("objective.optimizer.weight_decay",),
    "gradient clipping": ("trainer.gradient_clip_val", "trainer.gradient_clip_algorithm"),
    "precision": ("trainer.precision",),
}
_TASKS = ("tasks",)
#: Keys of the data that decide none of the other checks of the data.
ONLY: dict[str, tuple[str, ...]] = {
    "data.val_split": ("validation samples",),
    "data.val_limit": ("validation samples",),
    "data.test_limit": ("test samples",),
    "data.test_splits": ("test samples",),
    "data.single_frame_baseline": ("test samples",),
    "data.batch_size": ("sample order", "steps", "batch"),
    "data.seed": ("sample order",),
    "data.mixture": ("sample order", "steps"),
    **dict.fromkeys(("data.eval_batch_size", "data.num_workers", "data.cache_features"), ()),
}


def decides(key: str, check: str) -> bool:
    """Whether a key of a recipe has a say in a check."""
    known = next((checks for name, checks in ONLY.items() if within(key, [name])), None)
    if known is not None:
        return check in known
    deciding = DECIDES.get(check, _TASKS)
    return within(key, deciding) or any(within(name, [key]) for name in deciding)
