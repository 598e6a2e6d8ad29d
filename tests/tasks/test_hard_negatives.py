"""Triplets of texts against a slow loop, and the row of the untouched encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED
from jepa_vl.sample import Sample
from jepa_vl.tasks.hard_negatives import CHANCE, HardNegativesTask
from jepa_vl.text.base import TextEncoder
from jepa_vl.text.hf_text import HFText

KINDS = ("replace_attribute", "swap_object")


def triplet(i: int, kind: str | None) -> Sample:
    texts = {"target": f"p1 {i}", "paraphrase": f"p2 {i}", "negative": f"n {i}"}
    return Sample(id=f"s{i:02}", media="", kind=kind, **texts)


def texts_of(samples: Sequence[Sample]) -> list[str]:
    return [t for s in samples if s.negative for t in (s.target, str(s.paraphrase), s.negative)]


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: 15 and 6 triplets of two kinds, and three texts without a negative."""
    found = [triplet(i, KINDS[i >= 15]) for i in range(21)]
    return found + [Sample(id=f"t{i}", media="", target="a text") for i in range(3)]


class Recalled(TextEncoder):
    """Remembers other vectors for the same texts."""

    def __init__(self, text: dict[str, Tensor] | None) -> None:
        super().__init__(frozen=True)
        self.text = text
        self.asked: list[int] = []

    def connect(self, *, embed_dim: int) -> None:
        raise NotImplementedError

    def forward(self, text: Any) -> Tensor:
        raise NotImplementedError

    def untouched(self, texts: Sequence[str]) -> Tensor | None:
        self.asked.append(len(texts))
        if self.text is None:
            return None
        return normalize(torch.stack([self.text[t] for t in texts]), dim=-1)


def slow(text: dict[str, Tensor], s: Sample) -> float:
    p1, p2, n = (text[t].double() for t in (s.target, str(s.paraphrase), str(s.negative)))

    def likeness(a: Tensor, b: Tensor) -> float:
        return float(cosine_similarity(a, b, dim=0))

    return float(likeness(p1, p2) > likeness(p1, n) and likeness(p1, p2) > likeness(p2, n))


def test_equals_a_slow_loop(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    task = HardNegativesTask()
    results = run(task, made, samples)
    found = rows(results)
    right = {s.id: slow(made.text, s) for s in samples if s.negative}
    by_kind = defaultdict(list)
    for s in samples:
        if s.negative:
            by_kind[s.kind].append(right[s.id])
    assert 0 < sum(right.values()) < len(right)
    means = {kind: sum(each) / len(each) for kind, each in by_kind.items()}
    assert {kind: found[kind, "accuracy"].value for kind in KINDS} == pytest.approx(means)
    assert found["all", "accuracy"].value == pytest.approx(sum(right.values()) / 21)
    assert results[0].metric == "mean over kinds"
    assert results[0].value == pytest.approx(sum(means.values()) / 2)
    assert task.outcomes() == {"accuracy": right}


def test_random_embeddings_are_right_by_chance(objective: Any, run: Any, rows: Any) -> None:
    samples = [triplet(i, None) for i in range(3000)]
    found = rows(run(HardNegativesTask(), objective(samples, texts_of(samples), EMBED), samples))
    assert list(found) == [("all", "accuracy")]  # without kinds there is no mean over them
    row = found["all", "accuracy"]
    assert row.chance == pytest.approx(CHANCE) == 1 / 3
    assert row.value == pytest.approx(CHANCE, abs=4 * (2 / 9 / 3000) ** 0.5)


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    made.text_encoder = Recalled({t: v.flip(0) for t, v in made.text.items()})
    assert run(HardNegativesTask(), made, samples, batches=batching) == run(
        HardNegativesTask(), made, samples
    )


def test_both_comparisons_count_and_level_texts_are_wrong(objective: Any, run: Any) -> None:
    x, y, z = torch.eye(16)[:3]
    cases = [
        ({"p1 0": x + y, "p2 0": x, "n 0": z}, 1),
        ({"p1 0": x + y, "p2 0": x, "n 0": y + x}, 0),  # n is nearer to p1
        ({"p1 0": x, "p2 0": x + y, "n 0": x + y + 0.1 * z}, 0),  # n is nearer to p2
        ({"p1 0": x, "p2 0": x, "n 0": x}, 0),  # a collapse
    ]
    samples = [triplet(0, None)]
    for text, right in cases:
        made = objective(samples, [], EMBED, **text)
        assert run(HardNegativesTask(), made, samples)[0].value == right


def test_the_untouched_encoder_is_a_baseline_of_every_row(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    other = {t: torch.randn(5) for t in texts_of(samples)}  # of another width
    made.text_encoder = Recalled(other)
    found = rows(run(HardNegativesTask(), made, samples, batches=[[i] for i in range(24)]))
    assert made.text_encoder.asked == [63], "its weights are read once per evaluation"
    means = {
        kind: sum(slow(other, s) for s in samples if s.kind == kind) / sum(s.kind == kind for s in samples)
        for kind in KINDS
    }
    for kind in KINDS:
        assert found[kind, "accuracy"].baselines == {"untouched encoder": pytest.approx(means[kind])}
    mean = found["all", "mean over kinds"]
    assert mean.baselines == {"untouched encoder": pytest.approx(sum(means.values()) / 2)}


def test_an_encoder_without_a_pretrained_state_has_no_such_baseline(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    for encoder in (Recalled(None), torch.nn.Identity()):
        made.text_encoder = encoder
        assert run(HardNegativesTask(), made, samples)[0].baselines == {}


def test_weights_that_are_gone_cost_the_baseline_alone(
    samples: list[Sample], objective: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(Recalled):
        def untouched(self, texts: Sequence[str]) -> Tensor | None:
            raise UserError("cannot load the hub model 'a/b'")

    made = objective(samples, texts_of(samples), EMBED)
    made.text_encoder = Gone(None)
    assert run(HardNegativesTask(), made, samples)[0].baselines == {}
    assert "cannot load the hub model 'a/b'" in caplog.text


def test_a_text_encoder_before_training_equals_its_own_baseline(
    samples: list[Sample], tiny_bert: str, objective: Any, run: Any
) -> None:
    encoder = HFText(model=tiny_bert, head="none")
    encoder.connect(embed_dim=32)
    words = texts_of(samples)
    made = objective(samples, [], EMBED)
    made.text = dict(zip(words, encoder.eval()(encoder.tokenizer(words)).detach(), strict=True))
    made.text_encoder = encoder
    row = run(HardNegativesTask(), made, samples)[0]
    assert row.baselines == {"untouched encoder": row.value}
