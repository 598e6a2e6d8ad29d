"""What a frozen text encoder said, kept so that no text is encoded twice."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from jepa_vl.sample import TextTokens
from jepa_vl.transfer import send

ROWS = 16  # texts encoded at once
STEP = 8  # lengths are rounded up to a multiple of it
MOST = 500_000  # texts remembered

Row = tuple[int, ...]  # the ids of a text


class EmbeddingMemo:
    """Texts → pooled states of a frozen encoder, from memory where it was asked before.

    The encoder always sees blocks of `ROWS` texts, padded to a length that depends on each text alone, so
    that an embedding does not depend, even in its last bit, on what it was first encoded with: a resumed
    run gets the same embeddings as an uninterrupted one.

    Args:
        encode: Text ids and mask ``[B, L]`` → ``[B, d]``.
    """

    def __init__(self, encode: Callable[[TextTokens], Tensor]) -> None:
        self.encode = encode
        self._known: dict[bytes, Tensor] = {}

    @torch.no_grad()
    def __call__(self, text: TextTokens) -> Tensor:
        """Embed ``[B, L]`` ids to ``[B, d]``, without gradient."""
        device, rows = text.ids.device, text.rows or _rows(text)
        keys = [array("i", row).tobytes() for row in rows]
        fresh: dict[bytes, Tensor] = {}
        by_length: dict[int, list[tuple[bytes, Row]]] = defaultdict(list)
        for key, row in dict(zip(keys, rows, strict=True)).items():
            if key not in self._known:
                by_length[-(-len(row) // STEP) * STEP].append((key, row))
        for length, unread in by_length.items():
            for start in range(0, len(unread), ROWS):
                block = unread[start : start + ROWS]
                with torch.autocast(device.type, enabled=False):
                    states = self.encode(_block([row for _, row in block], length).to(device))
                for (key, _), state in zip(block, states.cpu(), strict=False):
                    fresh[key] = state.clone()
        out = torch.stack([self._known[k] if k in self._known else fresh[k] for k in keys])
        if len(self._known) + len(fresh) <= MOST:
            self._known.update(fresh)
        return send(out, device)


class UntouchedMemo:
    """Texts → pooled states of an encoder's pretrained weights, which are read only when a text is new.

    Args:
        load: Reads the weights, and returns what encodes ids and mask ``[B, L]`` → ``[B, d]`` with them.
    """

    def __init__(self, load: Callable[[], Callable[[TextTokens], Tensor]]) -> None:
        self._load = load
        self._encode: Callable[[TextTokens], Tensor] | None = None
        self._memo = EmbeddingMemo(self._encoded)

    def __call__(self, text: TextTokens) -> Tensor:
        """Embed ``[B, L]`` ids to ``[B, d]``, without gradient; the weights are not kept."""
        try:
            return self._memo(text)
        finally:
            self._encode = None

    def _encoded(self, text: TextTokens) -> Tensor:
        self._encode = self._encode or self._load()
        return self._encode(text)


def _rows(text: TextTokens) -> tuple[Row, ...]:
    """Look at the ids on the device."""
    return tuple(tuple(row[real].tolist()) for row, real in zip(text.ids.cpu(), text.mask.cpu(), strict=True))


def _block(rows: list[Row], length: int) -> TextTokens:
    ids = torch.zeros(ROWS, max(length, 1), dtype=torch.long)
    mask = torch.zeros(ROWS, max(length, 1), dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = True
    return TextTokens(ids, mask)
