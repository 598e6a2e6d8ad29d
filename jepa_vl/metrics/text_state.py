"""Texts as tensors, so that a metric's state can hold them and gather them from other ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pack(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the lengths in bytes of n texts, int64 ``[n]``, and all their bytes, uint8 ``[bytes]``."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    content = bytearray(b"".join(encoded))
    lengths = torch.tensor([len(e) for e in encoded], dtype=torch.int64)
    return lengths, torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0).byte()


def unpack(lengths: Tensor, content: Tensor) -> list[str]:
    """Return the n texts that `pack` was given."""
    whole = content.cpu().numpy().tobytes()
    ends = lengths.cpu().cumsum(0).tolist()
    return [
        whole[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip([0, *ends][:-1], ends, strict=True)
    ]
