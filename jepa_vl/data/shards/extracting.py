"""Lightning's predict loop as the engine of preparation: encode on any devices, write shard after shard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from jepa_vl.data.bad_media import too_many_bad
from jepa_vl.data.encode import not_finite
from jepa_vl.data.shards.description import Plan
from jepa_vl.data.shards.packing import pack_tokens
from jepa_vl.data.shards.planning import Entry
from jepa_vl.data.shards.store import Store
from jepa_vl.data.shards.work import Part, Read, Work
from jepa_vl.data.shards.writing import Spread, write_shard
from jepa_vl.data.video import MediaError
from jepa_vl.vision.base import VisionEncoder

BAD_KEY = "--max-bad"


class Extractor(LightningModule):
    """Encodes the frames of a part; what is packed already passes through.

    Args:
        plan: What is stored.
        encoder: Whose tokens are stored; None where pictures are.
    """

    def __init__(self, plan: Plan, encoder: VisionEncoder | None) -> None:
        super().__init__()
        self.plan = plan
        self.encoder = encoder
        # after an interruption there may be fewer shards left than processes
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def predict_step(self, batch: Part, batch_idx: int = 0) -> list[tuple[Entry, Read]]:
        """Return tokens ``[N, D]`` on the CPU in place of frames.

        Raises:
            NotFiniteError: The encoder gives NaN or infinity.
        """
        features = self.plan.features
        clips = [(entry, read) for entry, read in batch.clips if isinstance(read, Tensor)]
        if features is None or not clips:
            return batch.clips
        assert self.encoder is not None
        video = torch.stack([read for _, read in clips]).to(self.device)  # [b, T, C, H, W]
        # as a cache's or a live run's tokens: in the encoder's own precision, whatever the trainer's is
        with torch.autocast(self.device.type, enabled=False):
            tokens = self.encoder(video).to("cpu", getattr(torch, features.dtype))  # [b, N, D]
        finite = tokens.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            bad = [entry.clip for (entry, _), ok in zip(clips, finite, strict=True) if not ok]
            raise not_finite(bad, features.dtype)
        encoded = iter(tokens)
        return [(e, next(encoded) if isinstance(read, Tensor) else read) for e, read in batch.clips]


class ShardWriter(Callback):
    """Writes a shard when its last part has come.

    Args:
        store: Where to.
        plan: What the set is.
        max_bad: How many clips of the set may be unreadable.
        bad: Messages of those in shards that were written before.
    """

    def __init__(self, store: Store, plan: Plan, *, max_bad: int, bad: Mapping[str, str]) -> None:
        self.store = store
        self.plan = plan
        self.max_bad = max_bad
        self.messages = list(bad.values())
        self._begin()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Part,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the clips of a part.

        Raises:
            UserError: Too many cannot be read, there is no room, or the store cannot be written.
        """
        for entry, read in outputs:
            if isinstance(read, MediaError):
                self._bad[entry.clip.digest] = read.reason
                self.messages.append(str(read))
            elif isinstance(read, Tensor):
                assert self.plan.features is not None
                self._norms.add(read.float().norm(dim=-1).tolist())
                self._items[entry.key] = pack_tokens(read, self.plan.features)
            else:
                self._items[entry.key] = read
        if len(self.messages) > self.max_bad:
            raise too_many_bad(self.messages, len(self.messages), self.max_bad, key=BAD_KEY)
        if batch.last:
            write_shard(self.store, self.plan, batch.shard, self._items, bad=self._bad, norms=self._norms)
            self._begin()

    def _begin(self) -> None:
        self._items: dict[tuple[str, bool], list[bytes]] = {}
        self._bad: dict[str, str] = {}
        self._norms = Spread()


def extract(
    work: Work,
    plan: Plan,
    encoder: VisionEncoder | None,
    *,
    max_bad: int,
    bad: Mapping[str, str],
    trainer: Mapping[str, Any],
) -> Trainer:
    """Write the shards that are left, on the devices that a trainer is given.

    Args:
        work: What is to be written.
        plan: What the set is.
        encoder: Whose tokens are stored; None where pictures are.
        max_bad: How many clips may be unreadable.
        bad: Messages of those that are known to be, by digest.
        trainer: Lightning's ``accelerator``, ``devices``, ``num_nodes``, ``strategy``.

    Raises:
        UserError: Too many clips cannot be read, tokens are not finite, or the store cannot be written.
    """
    runner = Trainer(
        **trainer,
        callbacks=[ShardWriter(work.store, plan, max_bad=max_bad, bad=bad)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    runner.predict(Extractor(plan, encoder), datamodule=work, return_predictions=False)
    return runner
