"""`TextTree`: texts that begin alike as one tree of tokens, so that what they share is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class TextTree(NamedTuple):
    """N nodes, each a token that is read after those above it, and S steps from a node to a token.

    The last token of a text is said and not read, so that it is a step and no node.

    Attributes:
        ids: int64 ``[N]``, each node's token; parents stand before their children.
        sees: bool ``[N, N]``: the nodes above each node, and itself.
        origin: int64 ``[S]``, the node after which a step's token is said, counted from 1; 0 where that is
            at the very beginning.
        said: int64 ``[S]``, the token of each step.
        paths: The steps of each text, from its first token to its last.
    """

    ids: Tensor
    sees: Tensor
    origin: Tensor
    said: Tensor
    paths: list[list[int]]


def text_tree(texts: Sequence[Sequence[int]]) -> TextTree:
    """Make one tree of texts of one token or more."""
    ids: list[int] = []
    above: list[list[int]] = []  # the nodes above each node, and itself
    child: dict[tuple[int, int], int] = {}  # (node from 1, or 0; token) → node from 1
    step: dict[tuple[int, int], int] = {}
    paths = []
    for text in texts:
        node, path = 0, []
        for i, token in enumerate(text):
            edge = (node, token)
            path.append(step.setdefault(edge, len(step)))
            if i == len(text) - 1:
                break
            if edge not in child:
                ids.append(token)
                above.append([*(above[node - 1] if node else ()), len(ids) - 1])
                child[edge] = len(ids)
            node = child[edge]
        paths.append(path)
    sees = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    for row, nodes in enumerate(above):
        sees[row, nodes] = True
    origin, said = torch.tensor(list(step), dtype=torch.long).view(-1, 2).unbind(1)
    return TextTree(torch.tensor(ids, dtype=torch.long), sees, origin, said, paths)


def alike(texts: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Split texts into lots whose trees have ``most`` nodes or fewer, those that begin alike together.

    A text that is longer makes a lot of its own.
    """
    lot: list[int] = []
    nodes, last = 0, list[int]()
    for i in sorted(range(len(texts)), key=lambda i: tuple(texts[i])):
        read = list(texts[i][:-1])
        new = len(read) - _shared(read, last)
        if lot and nodes + new > most:
            yield lot
            lot, nodes, new = [], 0, len(read)
        lot.append(i)
        nodes, last = nodes + new, read
    if lot:
        yield lot


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two texts have in common at their beginning."""
    unlike = (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(unlike, min(len(a), len(b)))
