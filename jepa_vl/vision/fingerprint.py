"""What tells one vision encoder from another: a hash of its settings and its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def fingerprint(settings: Mapping[str, Any], weights: nn.Module | None = None) -> str:
    """Return a hash, in hex, that is equal for equal settings and bit-equal weights.

    Args:
        settings: Whatever changes the tokens; must be JSON. The checksum of a weights file in it makes
            ``weights`` unnecessary while they are frozen.
        weights: A module whose parameters and persistent buffers are hashed.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(weights.state_dict().items()) if weights is not None else ():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
