from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor
from torchmetrics.retrieval import RetrievalHitRate

from jepa_vl.errors import UserError
from jepa_vl.metrics import ranks as ranks_module
from jepa_vl.metrics.ranks import (
    chance_median_rank,
    chance_recall,
    hits_at,
    median_rank,
    ranks,
    ranks_of_scores,
    recall_at,
)


def embeddings(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


QUERIES, GALLERY = embeddings(23, 0), embeddings(31, 1)
QUERY_IDS = torch.arange(23) % 9
GALLERY_IDS = torch.arange(31) % 10
POSITIVES = [[g for g in range(31) if GALLERY_IDS[g] == i] for i in QUERY_IDS]


def found(chunk: int | None = None) -> Tensor:
    return ranks(QUERIES, GALLERY, POSITIVES, chunk=chunk)


def own(n: int) -> list[list[int]]:
    return [[i] for i in range(n)]


def test_several_positives_rank_by_the_best_one_as_in_a_slow_loop() -> None:
    scores = torch.nn.functional.cosine_similarity(QUERIES[:, None], GALLERY[None], dim=-1)
    want = []
    for row, query_id in zip(scores, QUERY_IDS, strict=True):
        best = max(s.item() for s, i in zip(row, GALLERY_IDS, strict=True) if i == query_id)
        want.append(1 + sum(s.item() > best for s, i in zip(row, GALLERY_IDS, strict=True) if i != query_id))
    assert found().tolist() == want


@pytest.mark.parametrize("chunk", [1, 5, 22, 23, 24])
def test_the_chunk_size_changes_nothing(chunk: int) -> None:
    assert found(chunk).tolist() == found().tolist()


def test_chunks_change_nothing_when_a_collapse_makes_all_scores_ties() -> None:
    """Rounding differs with the shape of a matrix product; ties must not be broken by it."""
    same = torch.full((50, 300), 0.1234567) + torch.randn(1, 300, generator=torch.Generator().manual_seed(0))
    for chunk in (1, 7, 50):
        assert ranks(same, same, own(50), chunk=chunk).tolist() == [25.5] * 50


def test_ties_count_as_their_mean_over_random_orders() -> None:
    scores = torch.tensor([[0.9, 0.5, 0.5, 0.5, 0.1, 0.5]])
    positive = torch.tensor([[False, True, False, False, True, True]])
    total, draws = 0, 20_000
    order = random.Random(0)
    for _ in range(draws):
        level = [True, False, False, True]  # those at 0.5: positive or not
        order.shuffle(level)
        total += 2 + level.index(True)
    got = ranks_of_scores(scores, positive).item()
    assert got == pytest.approx(1 + 1 + 2 / 3)
    assert got == pytest.approx(total / draws, abs=0.02)


def test_one_positive_among_ties_has_the_mid_rank() -> None:
    assert ranks_of_scores(torch.zeros(1, 9), torch.eye(9, dtype=torch.bool)[:1]).item() == 5


def test_a_collapse_is_not_rewarded() -> None:
    level = ranks_of_scores(torch.zeros(40, 40), torch.eye(40, dtype=torch.bool))
    assert recall_at(level, 10) == 0
    assert median_rank(level) == chance_median_rank(gallery=40)


def test_log_likelihoods_with_minus_infinity_can_be_ranked() -> None:
    scores = torch.tensor([[-math.inf, -3.0, -2.0], [-1.0, -math.inf, -math.inf]])
    positive = torch.tensor([[False, True, False], [True, False, False]])
    assert ranks_of_scores(scores, positive).tolist() == [2, 1]


def test_texts_that_cannot_be_said_are_level_with_each_other() -> None:
    scores = torch.tensor([[-math.inf, -math.inf, -2.0, -math.inf], [-math.inf] * 4])
    positive = torch.tensor([[True, False, False, False]] * 2)
    assert ranks_of_scores(scores, positive).tolist() == [3, 2.5]


@pytest.mark.parametrize("column", [0, 1])
def test_a_score_that_is_no_number_is_refused_and_not_ranked_first(column: int) -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    scores[1, column] = math.nan
    with pytest.raises(UserError, match="1 of 2 queries have scores that are NaN"):
        ranks_of_scores(scores, torch.tensor([[True, False, False]] * 2))
    with pytest.raises(UserError, match="2 of 2 queries"):
        ranks(torch.full((2, 6), math.nan), GALLERY, own(2))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_torchmetrics_hit_rate(k: int) -> None:
    scores = torch.nn.functional.normalize(QUERIES, dim=-1) @ torch.nn.functional.normalize(GALLERY, dim=-1).T
    positive = QUERY_IDS[:, None] == GALLERY_IDS
    index = torch.arange(23)[:, None].expand_as(positive)
    peer = RetrievalHitRate(top_k=k)(scores.flatten(), positive.flatten(), indexes=index.flatten())
    assert recall_at(found(), k) == pytest.approx(peer.item())


def test_recall_at_one_of_a_perfect_order_is_one() -> None:
    perfect = ranks(QUERIES, QUERIES, own(23))
    assert recall_at(perfect, 1) == 1
    assert median_rank(perfect) == 1


def test_median_of_an_even_number_is_between_the_middle_two() -> None:
    assert median_rank(torch.tensor([1.0, 8.0, 3.0, 4.0])) == 3.5


def test_hits_are_per_query_for_the_bootstrap() -> None:
    assert hits_at(torch.tensor([1.0, 5.0, 5.5]), 5).tolist() == [1, 1, 0]


def test_a_query_without_positive_is_refused_and_not_skipped() -> None:
    with pytest.raises(ValueError, match="1 of 2 queries have no positive"):
        ranks(QUERIES[:2], GALLERY, [[0], []])


def test_positives_of_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="1 lists of positives for 2 queries"):
        ranks(QUERIES[:2], GALLERY, [[0]])


def test_a_large_gallery_never_makes_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 × 20,000 similarities would be 3.2 GB; no block may be more than a few MB."""
    shapes = []
    whole = ranks_module.ranks_of_scores

    def watched(scores: Tensor, positive: Tensor) -> Tensor:
        shapes.append(scores.shape)
        return whole(scores, positive)

    monkeypatch.setattr(ranks_module, "ranks_of_scores", watched)
    x = embeddings(20_000, 2)
    some = x[::50]  # 400 queries
    assert ranks(some, x, [[50 * i] for i in range(400)]).tolist() == [1.0] * 400
    assert max(rows * columns for rows, columns in shapes) <= 2**23


@pytest.mark.parametrize(("gallery", "positives", "k"), [(45, 1, 5), (20, 3, 5), (12, 4, 1), (6, 2, 6)])
def test_chance_of_recall_agrees_with_random_scores(gallery: int, positives: int, k: int) -> None:
    scores = torch.rand(20_000, gallery, generator=torch.Generator().manual_seed(0))
    positive = (torch.arange(gallery) < positives).expand_as(scores)
    simulated = ranks_of_scores(scores, positive)
    assert chance_recall(k, gallery=gallery, positives=positives) == pytest.approx(
        recall_at(simulated, k), abs=0.012
    )
    assert chance_median_rank(gallery=gallery, positives=positives) == pytest.approx(
        median_rank(simulated), abs=1
    )


def test_chance_with_one_positive_is_k_over_g() -> None:
    assert chance_recall(5, gallery=45) == pytest.approx(5 / 45)
    assert chance_median_rank(gallery=45) == 23
    assert chance_median_rank(gallery=10) == 5.5


def test_chance_is_the_mean_over_queries_with_different_numbers_of_positives() -> None:
    mean = (chance_recall(3, gallery=20, positives=1) + 2 * chance_recall(3, gallery=20, positives=4)) / 3
    assert chance_recall(3, gallery=20, positives=[4, 1, 4]) == pytest.approx(mean)


def test_chance_of_more_places_than_entries_is_one() -> None:
    assert chance_recall(10, gallery=4) == 1


def test_chance_of_a_large_gallery_is_quick_and_finite() -> None:
    assert chance_median_rank(gallery=20_001, positives=[1] * 100) == 10_001
