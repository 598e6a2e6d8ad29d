"""CIDEr, BLEU and ROUGE-L against pycocoevalcap on the same tokens, over batches and over ranks."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from jepa_vl.metrics.bleu import BLEU
from jepa_vl.metrics.caption_metric import CaptionMetric
from jepa_vl.metrics.cider import CIDEr
from jepa_vl.metrics.rouge import ROUGEL, common_length

WORKER = Path(__file__).with_name("caption_worker.py")
METRICS: dict[str, type[CaptionMetric]] = {"cider": CIDEr, "bleu": BLEU, "rouge": ROUGEL}
Captions = tuple[list[str], list[list[str]]]


def made_up(seed: int, n: int = 40, words: int = 12, most: int = 14, references: int = 5) -> Captions:
    """Predictions that share words with their references, some of them empty or of one word."""
    rng = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(words)]

    def caption(low: int) -> str:
        return " ".join(rng.choices(vocabulary, k=rng.randint(low, most)))

    predictions = [caption(0) for _ in range(n)]
    return predictions, [[caption(1) for _ in range(rng.randint(1, references))] for _ in range(n)]


CASES: dict[str, Captions] = {
    **{f"random {seed}": made_up(seed) for seed in range(5)},
    "long": made_up(7, most=60),
    "many references": made_up(8, references=30),
    "a large vocabulary": made_up(9, words=1000),
    "empty prediction": (["", "a b"], [["a b c"], ["a b", "c d e"]]),
    "nothing but empty predictions": (["", ""], [["a b c"], ["d"]]),
    "empty reference": (["a b", "c"], [["", "a"], [""]]),
    "empty prediction and reference": (["", "a"], [[""], ["a"]]),
    "one word": (["a", "b"], [["a"], ["a", "b c"]]),
    "repeated n-grams": (["a a a a a a", "b a b a b a"], [["a a a", "b a"], ["a b a b", "b b"]]),
    "one video, log df = 0": (["a b c d"], [["a b c d", "a b"]]),
    "every word in every video": (["a b", "b a"], [["a b"], ["a b", "b a"]]),
    "the same text": (["a red ball on a mat"] * 3, [["a red ball on a mat"]] * 3),
    "two closest lengths": (["a b c d"], [["a b c", "a b c d e"]]),
}


def theirs(name: str, captions: Captions) -> tuple[Any, Any]:
    said = {i: [text] for i, text in enumerate(captions[0])}
    expected = dict(enumerate(captions[1]))
    if name == "bleu":
        total, each = Bleu(4).compute_score(expected, said, verbose=0)
        return np.array(total), np.array(each).T
    total, each = (Cider() if name == "cider" else Rouge()).compute_score(expected, said)
    return np.array(total), np.array(each)


def tokens(captions: Captions) -> tuple[list[list[str]], list[list[list[str]]]]:
    return [p.split() for p in captions[0]], [[r.split() for r in each] for each in captions[1]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", METRICS)
def test_equals_pycocoevalcap(name: str, case: str) -> None:
    metric = METRICS[name]()
    metric.update(range(len(CASES[case][0])), *tokens(CASES[case]))
    total, each = theirs(name, CASES[case])
    np.testing.assert_allclose(metric.compute().numpy(), total, rtol=1e-9, atol=1e-9)
    keys, values = metric.per_sample()
    assert keys == list(range(len(CASES[case][0])))
    np.testing.assert_allclose(values.numpy(), each, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_batches_order_and_repeated_samples_do_not_matter(name: str) -> None:
    predictions, references = tokens(CASES["random 0"])
    whole, parts = METRICS[name](), METRICS[name]()
    whole.update(range(40), predictions, references)
    order = [*range(39, -1, -1), 5, 5, 0]
    for start in range(0, len(order), 7):
        at = order[start : start + 7]
        parts.update(torch.tensor(at), [predictions[i] for i in at], [references[i] for i in at])
    assert torch.equal(parts.compute(), whole.compute())
    assert torch.equal(parts.per_sample()[1], whole.per_sample()[1])


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets(name: str) -> None:
    metric = METRICS[name]()
    metric.update([0], ["a b"], [["c d"]])
    metric.reset()
    metric.update([1], ["a b c d"], [["a b c d"]])
    assert metric.per_sample()[0] == [1]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("name", ["cider", "rouge"])
def test_without_any_caption_the_mean_is_nan_and_no_crash(name: str) -> None:
    metric = METRICS[name]()
    assert metric.per_sample()[0] == []
    assert metric.compute().isnan()


def test_texts_are_tokenised_and_tokens_are_not() -> None:
    texts, words = ROUGEL(), ROUGEL()
    texts.update([0], ["The Red ball."], [["the red ball"]])
    words.update([0], [["The", "Red", "ball."]], [[["the", "red", "ball"]]])
    assert texts.compute() == 1
    assert words.compute() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], ["a"], [["a"]]), "2 keys for 1 predictions"),
        (([7], ["a"], [[]]), "key 7: references"),
        (([7], ["a"], ["a"]), "key 7: references"),
        (([0], [["a b"]], [["a"]]), "without white space"),
        (([0], [["a", ""]], [["a"]]), "without white space"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CIDEr().update(*arguments)


def test_longest_common_subsequence_equals_the_table() -> None:
    rng = random.Random(0)
    for _ in range(200):
        a, b = (rng.choices("abcd", k=rng.randint(0, 80)) for _ in range(2))
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        assert common_length(a, b) == table[-1][-1]


@pytest.mark.slow
def test_two_ranks_score_what_one_process_does(tmp_path: Path, run_ranks: Callable[..., None]) -> None:
    """A sample on both ranks counts once, and a second metric sees all its samples on one rank."""
    for size in (2, 1):
        run_ranks(WORKER, size, tmp_path)
    one = torch.load(tmp_path / "0.1")
    for rank in range(2):
        two = torch.load(tmp_path / f"{rank}.2")
        assert two.keys() == one.keys()
        for name, values in one.items():
            assert torch.equal(two[name], values), name
