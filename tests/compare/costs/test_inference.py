from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jepa_vl.compare.costs.inference import candidate_texts, encode, inference_cost
from jepa_vl.compare.costs.inference_parts import JEPAParts, TokenParts, parts_of
from jepa_vl.compare.costs.rows import ArmCosts, CostRow, InferenceCosts, cost_table
from jepa_vl.data.base import SampleData, SampleSet
from jepa_vl.decoders.nearest import NearestText
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Item, Sample
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing, VisionEncoder

TEXTS = ["open the door", "red", "no", "take it"]


class Frames(VisionEncoder):
    """A linear map of each frame; two frames at once."""

    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid = 10, (2, 1, 1)
        self.preprocessing = Preprocessing(size=(4, 4), num_frames=2)
        self.linear = nn.Linear(48, 10).requires_grad_(False)

    def forward(self, video: Tensor) -> Tensor:
        assert video.shape[1] == 2, "another number of frames than it was made for"
        return self.linear(video.float().flatten(2))

    def fingerprint(self) -> str:
        return "frames"


class Few(SampleSet):
    def __init__(self, name: str, texts: Sequence[str]) -> None:
        self.name = name
        self.samples = [
            Sample(id=f"{name} {i}", media="clip", query="why" * (i % 2), target=t)
            for i, t in enumerate(texts)
        ]

    def frames(self, index: int) -> Tensor:
        return torch.full((2, 3, 4, 4), index, dtype=torch.uint8)


class FewData(SampleData):
    data_hash, labels, val_sets, test_sets = "few", [], [], ["test"]  # type: ignore[assignment]

    def attach(self, objective: Objective) -> None: ...

    def train_dataloader(self) -> DataLoader: ...

    def sample_set(self, name: str) -> SampleSet:
        return Few(name, TEXTS if name == "train" else TEXTS[:2])


@pytest.fixture
def jepa(tiny_bert: str) -> JEPAObjective:
    return JEPAObjective(
        vision_encoder=Frames(),
        predictor=TransformerPredictor(dim=32, layers=2, heads=2, query_model=tiny_bert),
        text_encoder=HFText(model=tiny_bert, freeze=True),
        loss=InfoNCE(),
        embed_dim=16,
        decoder=NearestText(),
    ).eval()


@pytest.fixture(params=["transformer_lm", "hf_causal"])
def token(request: pytest.FixtureRequest, tiny_bert: str, tiny_llama: str) -> TokenObjective:
    lm = (
        HFCausalLM(model=tiny_llama)
        if request.param == "hf_causal"
        else TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
    )
    return TokenObjective(vision_encoder=Frames(), language_model=lm).eval()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepa_vl.compare.costs.stopwatch.REPEATS", 2)


Find = Callable[..., list[CostRow]]


def found(rows: list[CostRow], part: str, **of) -> list[CostRow]:
    return [row for row in rows if row.part == part and all(getattr(row, k) == v for k, v in of.items())]


def test_every_part_is_there_once_for_each_size(jepa, token):
    for objective, thinking in ((jepa, "predictor"), (token, "prefix")):
        rows = inference_cost(objective, FewData(), frames=(2, 4), candidates=(2, 6), batches=(1, 3))
        for part in ("vision encoder", "query", thinking, "decoding"):
            sizes = [(row.batch, row.frames) for row in found(rows, part)]
            assert sizes == [(1, 2), (1, 4), (3, 2), (3, 4)], part
        sizes = [(row.batch, row.candidates) for row in found(rows, "scoring")]
        assert sizes == [(1, 2), (1, 6), (3, 2), (3, 6)]
        assert [row.candidates for row in found(rows, "candidates")] == ([2, 6] if objective is jepa else [])
        assert all(row.milliseconds > 0 and row.runs == 2 for row in rows)


def test_frames_beyond_the_encoders_own_are_windows_whose_tokens_follow_each_other():
    encoder, video = Frames(), torch.randint(0, 256, (3, 6, 3, 4, 4), dtype=torch.uint8)
    want = torch.cat([encoder(video[:, i : i + 2]) for i in (0, 2, 4)], dim=1)
    torch.testing.assert_close(encode(encoder, video), want)


def test_numbers_of_frames_that_the_encoder_cannot_take_are_left_out(jepa):
    rows = inference_cost(jepa, FewData(), frames=(1, 3, 4), candidates=(), batches=(1,))
    assert {row.frames for row in rows} == {4}
    rows = inference_cost(jepa, FewData(), frames=(1, 3), candidates=(), batches=(1,))
    assert {row.frames for row in rows} == {2}


def test_operations_grow_as_they_must(jepa, token):
    rows = inference_cost(jepa, FewData(), frames=(2, 4), candidates=(2, 8), batches=(1, 3))
    one, two = found(rows, "vision encoder", batch=1)
    assert (one.flops, two.flops) == (2 * 2 * 48 * 10, 2 * 4 * 48 * 10)
    assert found(rows, "vision encoder", batch=3, frames=2)[0].flops == one.flops
    few, many = found(rows, "scoring", batch=1)
    assert (few.flops, many.flops) == (2 * 2 * 16, 2 * 8 * 16)  # cosines alone
    few, many = found(rows, "candidates")
    assert many.flops > few.flops > 0
    rows = inference_cost(token, FewData(), frames=(2,), candidates=(2, 8), batches=(1,))
    few, many = found(rows, "scoring")
    assert many.flops > 3 * few.flops


def test_a_frozen_text_encoder_reads_the_candidates_though_it_remembers_them(jepa):
    texts = ["red", "no"]
    jepa.embed_text(texts)
    memo = jepa.text_encoder.memo
    rows = inference_cost(jepa, FewData(), frames=(2,), candidates=(2,), batches=(1,))
    assert found(rows, "candidates")[0].flops > 2 * 2 * 32 * 16  # more than the head
    assert jepa.text_encoder.memo is memo
    torch.testing.assert_close(JEPAParts(jepa).embed(texts), jepa.embed_text(texts))


def batch_of(objective: Objective):
    return objective.collator()(
        [Item(s, i, video=Few("test", TEXTS).frames(i)) for i, s in enumerate(Few("test", TEXTS).samples)]
    )


def test_the_parts_together_are_the_objective(jepa, token):
    """Else something would be measured that nobody uses."""
    for objective in (jepa, token):
        parts, batch = parts_of(objective, FewData()), batch_of(objective)
        assert isinstance(parts, JEPAParts | TokenParts)
        read = parts.read([sample.query for sample in batch.samples])
        assert torch.equal(read.ids, batch.query.ids)
        assert parts.say(parts.think(batch)) == objective.generate(batch)
        scores = parts.choose(parts.think(batch), parts.embed(TEXTS))
        torch.testing.assert_close(scores, torch.stack(objective.score(batch, [TEXTS] * 4)))


def test_candidates_are_distinct_and_of_known_words():
    texts = candidate_texts(FewData(), 15)
    assert len(set(texts)) == 15
    assert {word for text in texts for word in text.split()} == {w for t in TEXTS for w in t.split()}


def test_numbers_of_candidates_that_the_data_have_too_few_texts_for_are_left_out(jepa):
    assert len(candidate_texts(FewData(), 1000)) == 20  # four, and the pairs of them
    rows = inference_cost(jepa, FewData(), frames=(2,), candidates=(2, 20, 21), batches=(1,))
    assert {row.candidates for row in rows if row.part == "scoring"} == {2, 20}


def test_the_file_gives_back_the_rows_and_the_table_has_them_side_by_side(tmp_path, jepa):
    rows = inference_cost(jepa, FewData(), frames=(2,), candidates=(2,), batches=(1,))
    twin = [row.model_copy(update={"part": "prefix"}) if row.part == "predictor" else row for row in rows]
    costs = InferenceCosts({"jepa": ArmCosts(rows=rows, run="a"), "token": ArmCosts(rows=twin)})
    costs.save(tmp_path / "a" / "cost.json")
    assert InferenceCosts.load(tmp_path / "a" / "cost.json") == costs
    table = cost_table(costs)
    assert table.row_count == len(rows)
    assert all(cell for column in table.columns[4:] for cell in column.cells)
