"""Texts that begin alike as one tree."""

from __future__ import annotations

import random

from jepa_vl.language.text_tree import alike, text_tree


def test_what_is_shared_stands_once_and_each_text_is_found_on_its_path() -> None:
    texts = [[5, 6, 7], [5, 6, 8], [5], [9, 6, 7], [5, 6, 7, 1]]
    tree = text_tree(texts)
    assert tree.ids.tolist() == [5, 6, 9, 6, 7]
    assert tree.sees.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    assert [[int(tree.said[step]) for step in path] for path in tree.paths] == texts
    # each token is said after the one before it
    for text, path in zip(texts, tree.paths, strict=True):
        before = [int(tree.origin[step]) for step in path]
        assert before[0] == 0
        assert [int(tree.ids[node - 1]) for node in before[1:]] == text[:-1]


def test_texts_of_one_token_read_nothing() -> None:
    tree = text_tree([[3], [4]])
    assert tree.ids.numel() == tree.sees.numel() == 0
    assert tree.said.tolist() == [3, 4]
    assert tree.origin.tolist() == [0, 0]


def test_lots_hold_every_text_once_within_the_limit_and_keep_together_what_is_alike() -> None:
    dice = random.Random(0)
    texts = [[dice.randrange(3) for _ in range(dice.randrange(1, 8))] for _ in range(60)]
    for most in (1, 9, 1000):
        lots = list(alike(texts, most))
        assert sorted(i for lot in lots for i in lot) == list(range(60))
        for lot in lots:
            nodes = len(text_tree([texts[i] for i in lot]).ids)
            assert nodes <= most or len(lot) == 1
            assert nodes == len({tuple(texts[i][:n]) for i in lot for n in range(1, len(texts[i]))})
    assert len(list(alike(texts, 1000))) == 1
    assert list(alike([[2, 2, 0], [1, 1, 0], [2, 2, 1], [1, 1, 1]], 2)) == [[1, 3], [0, 2]]
