"""Prefix and text of each row moved together, so that padding stands behind them and nowhere between."""

from __future__ import annotations

from torch import Tensor

from jepa_vl.sample import TextTokens


def close_up(embeddings: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Move the real positions of each row to its front, in their order.

    A sequence of prefix and text is padded twice: behind the prefix to the longest prefix, and behind the
    text to the longest text. Where the one is long and the other short, as with a caption without a query
    and a question with a short answer, most of that is padding. Positions are counted without padding, so
    that nothing else changes.

    Args:
        embeddings: ``[B, L, d]``.
        mask: bool ``[B, L]``.
        length: M, the most real positions of a row, or more. It is asked for, and not looked up: a look at
            the mask's values would have the device wait.

    Returns:
        ``[B, M, d]`` and bool ``[B, M]``.
    """
    order = mask.byte().argsort(dim=1, descending=True, stable=True)[:, :length]  # [B, M]
    moved = embeddings.gather(1, order.unsqueeze(-1).expand(-1, -1, embeddings.shape[-1]))
    return moved, mask.gather(1, order)


def predicting(states: Tensor, prefix: Tensor, target: TextTokens) -> Tensor:
    """Take the states that predict a target's tokens: that of the prefix's end, then those of the target.

    Args:
        states: ``[B, M, d]``, of what `close_up` moved together: prefix and target without its last token.
        prefix: bool ``[B, P]``, the prefix's mask.
        target: B texts of n tokens in all.

    Returns:
        ``[n, d]``, for each of the target's tokens, row by row.
    """
    first = prefix.sum(dim=1) - 1  # [B]
    row, column = target.places  # [n], [n]
    return states[row, first[row] + column]
