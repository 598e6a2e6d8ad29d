"""How likely a language model finds texts: the scores of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.prefix import Prefix
from jepa_vl.language.text_tree import TextTree, alike, text_tree
from jepa_vl.sample import TextTokens

#: How much is scored at once: tokens, and positions in the expanded cache.
TOKENS_AT_ONCE = 2048
POSITIONS_AT_ONCE = 16_384
#: Tokens of one tree: each looks at all others of it, so that large trees cost more than they save.
TOKENS_OF_A_TREE = 128


@dataclass(frozen=True)
class _Lot:
    """Texts that are scored after one row of the prefix at once; their pairs are in the tree's order."""

    row: int
    tree: TextTree
    pairs: list[int]

    def __len__(self) -> int:
        return len(self.tree.ids)


def log_likelihoods(
    language_model: LanguageModel, prefix: Prefix, texts: TextTokens, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Mean log-likelihood a token of texts that follow a prefix, which is read once for all of them.

    What texts of one row have in common at their beginning is read once too, where the language model can
    (`LanguageModel.reads_trees`).

    Args:
        language_model: The model that read the prefix.
        prefix: Of B rows.
        texts: K texts ``[K, L]`` with their end tokens; one without any token, or with one that the model
            cannot say, scores -∞.
        pairs: M times (row of the prefix, row of the texts).

    Returns:
        ``[M]``.
    """
    scores = prefix.last.new_full((len(pairs),), -torch.inf, dtype=torch.float32)
    # long with long: a block is padded to its longest
    lots = sorted(_lots(texts, pairs, trees=language_model.reads_trees), key=len, reverse=True)
    for block in _blocks(lots, prefix.mask.shape[1]):
        numbers = [pair for lot in block for pair in lot.pairs]
        scores[torch.tensor(numbers, device=scores.device)] = _scores(language_model, prefix, block)
    return scores


def _lots(texts: TextTokens, pairs: Sequence[tuple[int, int]], *, trees: bool) -> Iterator[_Lot]:
    lengths = texts.mask.sum(dim=1).tolist()
    words = [ids[:length] for ids, length in zip(texts.ids.tolist(), lengths, strict=True)]
    of_row: dict[int, list[int]] = {}
    for number, (row, k) in enumerate(pairs):
        if lengths[k]:
            of_row.setdefault(row, []).append(number)
    made: dict[tuple[int, ...], list[tuple[TextTree, list[int]]]] = {}  # many rows have the same candidates
    for row, numbers in of_row.items():
        chosen = tuple(pairs[number][1] for number in numbers)
        if chosen not in made:
            said = [words[k] for k in chosen]
            split = alike(said, TOKENS_OF_A_TREE) if trees else ([i] for i in range(len(said)))
            made[chosen] = [(text_tree([said[i] for i in lot]), lot) for lot in split]
        for tree, lot in made[chosen]:
            yield _Lot(row, tree, [numbers[i] for i in lot])


def _scores(language_model: LanguageModel, prefix: Prefix, lots: Sequence[_Lot]) -> Tensor:
    """Score the texts of b lots, one lot after the other."""
    device = prefix.last.device
    rows = torch.tensor([lot.row for lot in lots], device=device)
    states = prefix.last[rows].unsqueeze(1)  # [b, 1, d]
    if longest := max(len(lot) for lot in lots):
        ids = pad_sequence([lot.tree.ids for lot in lots], batch_first=True).to(device)  # [b, N]
        sizes = torch.tensor([[len(lot)] for lot in lots], device=device)
        real = torch.arange(longest, device=device) < sizes
        mask = torch.cat((prefix.mask[rows], real), dim=1)  # [b, P + N]
        branching: dict[str, Tensor] = {}
        if language_model.reads_trees:
            sees = torch.eye(longest, dtype=torch.bool).repeat(len(lots), 1, 1)  # padding sees itself
            for i, lot in enumerate(lots):
                sees[i, : len(lot), : len(lot)] = lot.tree.sees
            branching["sees"] = sees.to(device)
        cache = language_model.cache_rows(prefix.cache, rows)
        further, _ = language_model(language_model.embed(ids), mask, cache=cache, **branching)
        states = torch.cat((states, further), dim=1)  # [b, 1 + N, d]
    starts = torch.arange(len(lots)) * states.shape[1]
    origin = torch.cat([lot.tree.origin + start for lot, start in zip(lots, starts, strict=True)])
    said = torch.cat([lot.tree.said for lot in lots]).to(device)
    losses = language_model.token_losses(states.flatten(0, 1)[origin.to(device)], said).each  # [steps]
    paths, offset = [], 0
    for lot in lots:
        paths += [torch.tensor(path) + offset for path in lot.tree.paths]
        offset += len(lot.tree.said)
    lengths = torch.tensor([len(path) for path in paths], device=device)
    nothing = losses.new_zeros(1)
    padded = pad_sequence(paths, batch_first=True, padding_value=offset).to(device)  # [texts, L]
    return -torch.cat((losses, nothing))[padded].sum(dim=1) / lengths


def _blocks(lots: list[_Lot], prefix_length: int) -> Iterator[list[_Lot]]:
    """Split lots, longest first, into blocks that fit the two limits."""
    start = 0
    while start < len(lots):
        length = len(lots[start])
        size = max(1, min(TOKENS_AT_ONCE // (1 + length), POSITIONS_AT_ONCE // (prefix_length + length)))
        yield lots[start : start + size]
        start += size
