from __future__ import annotations

import pytest
import torch

from jepa_vl.sample import TextTokens
from jepa_vl.text.distinct import distinct_rows
from jepa_vl.text.memo import ROWS, EmbeddingMemo


def rows_of(*rows: list[int], known: bool = False) -> TextTokens:
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return TextTokens(ids, mask, rows=tuple(map(tuple, rows)) if known else None)


@pytest.mark.parametrize("known", [False, True])
def test_distinct_rows_give_every_row_back(known):
    text = rows_of([5, 6], [7], [5, 6], [7, 0], [], known=known)
    distinct, where = distinct_rows(text)
    assert len(distinct.ids) == 4
    assert torch.equal(distinct.mask[where], text.mask)
    assert torch.equal(distinct.ids[where][text.mask], text.ids[text.mask])


@pytest.mark.parametrize("known", [False, True])
def test_a_row_that_ends_with_the_padding_id_is_another_text(known):
    distinct, where = distinct_rows(rows_of([7], [7, 0], known=known))
    assert len(distinct.ids) == 2
    assert where[0] != where[1]


def test_the_order_is_the_same_whoever_knows_the_rows():
    rows = [[9, 1], [300], [2, 70_000, 1], [2], [], [2, 5], [300], [2, 70_000]]
    (looked, at), (known, told) = (distinct_rows(rows_of(*rows, known=known)) for known in (False, True))
    assert torch.equal(looked.ids, known.ids)
    assert torch.equal(looked.mask, known.mask)
    assert torch.equal(at, told)
    assert known.rows == tuple(tuple(r[m].tolist()) for r, m in zip(known.ids, known.mask, strict=True))


def lengths(text: TextTokens) -> torch.Tensor:
    return torch.stack((text.mask.sum(1).float(), (text.ids * text.mask).sum(1).float()), dim=1)


@pytest.mark.parametrize("known", [False, True])
def test_the_memory_returns_what_the_encoder_says_in_order(known):
    texts = rows_of(*[[i] * (i % 11) for i in range(1, 3 * ROWS)], known=known)
    memo = EmbeddingMemo(lengths)
    for _ in range(2):
        assert torch.equal(memo(texts), lengths(texts))


def test_a_full_memory_goes_on_without_remembering(monkeypatch):
    monkeypatch.setattr("jepa_vl.text.memo.MOST", 2)
    calls = []
    memo = EmbeddingMemo(lambda text: calls.append(1) or lengths(text))
    for _ in range(2):
        assert torch.equal(memo(rows_of([1], [2], [3])), lengths(rows_of([1], [2], [3])))
    assert len(calls) == 2


def test_the_encoder_always_sees_blocks_of_one_size():
    shapes = set()
    memo = EmbeddingMemo(lambda text: shapes.add(tuple(text.ids.shape)) or lengths(text))
    memo(rows_of([1] * 3))
    memo(rows_of([2] * 5, [3] * 20, [4] * 20))
    assert shapes == {(ROWS, 8), (ROWS, 24)}
