from __future__ import annotations

import pickle
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.objectives.system import System, cosine_scores
from jepa_vl.sample import Batch, Item, Sample


class Sayer(System):
    """Embeds every sample as its place, and says its id."""

    abilities = frozenset({"embed", "generate"})
    vision_encoder = None

    def embed_video(self, batch: Batch) -> Tensor:
        return batch.index.float()[:, None]

    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        return [f"I see {sample.id}" for sample in batch.samples]


def batch_of(system: System) -> Batch:
    return system.collator()(
        [Item(Sample(id=n, media="", query="q", target="t"), i) for i, n in enumerate("ab")]
    )


def test_a_batch_carries_no_tokens_and_its_collator_goes_to_the_data_workers() -> None:
    system = Sayer()
    batch = batch_of(system)
    assert batch.query.ids.shape == batch.target.ids.shape == (2, 0)
    assert batch.select([1]).query.ids.shape == (1, 0)
    pickle.dumps(system.collator())


def test_predictions_are_what_it_is_able_to_say() -> None:
    system = Sayer()
    rows = system.predict_step(batch_of(system))
    assert [row["text"] for row in rows] == ["I see a", "I see b"]
    assert [float(row["embedding"]) for row in rows] == [0, 1]


def test_scores_are_cosines_by_a_loop_and_equal_texts_are_embedded_once() -> None:
    video = normalize(torch.randn(3, 8), dim=-1)
    bank = {text: normalize(torch.randn(8), dim=0) for text in "abcd"}
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Tensor:
        asked.extend(texts)
        return torch.stack([bank[text] for text in texts])

    candidates = [["a", "b"], ["b", "b", "c"], ["d"]]
    scores = cosine_scores(video, candidates, embed)
    for row, texts in enumerate(candidates):
        wanted = torch.tensor([float(video[row] @ bank[text]) for text in texts])
        assert torch.allclose(scores[row], wanted, atol=1e-6)
    assert sorted(asked) == ["a", "b", "c", "d"]
