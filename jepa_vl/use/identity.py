"""What tells one model from another: a hash of what its embeddings depend on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch

from jepa_vl.use.state import state_of

if TYPE_CHECKING:
    from jepa_vl.use.model import Model

#: Parts of an objective that its embeddings do not depend on.
APART = ("decoder", "loss", "optimizer")


def identity(model: Model) -> str:
    """Return a hash in hex: equal for a run and its export, and for a model that gets a decoder later."""
    described = (model.recipe or {}).get("objective", type(model.objective).__name__)
    if isinstance(described, dict):
        arguments = {k: v for k, v in (described.get("init_args") or {}).items() if k not in APART}
        described = {**described, "init_args": arguments}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    tensors, _ = state_of(model.objective)
    for name in sorted(tensors):
        if name.partition(".")[0] in APART:
            continue
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
