from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader

from jepa_vl.compare.costs.training import count
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.losses.sigreg import SIGReg
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Batch, Item, Sample
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing, VisionEncoder

TOKENS, VISION, WIDTH, LAYERS, EMBED = 6, 20, 32, 3, 24  # N, D, d, layers, E
TABLE = 32  # width of tiny_bert


class Pixels(VisionEncoder):
    """A linear map of each frame, and a batch norm."""

    def __init__(self, *, frozen: bool = True) -> None:
        super().__init__(frozen=frozen)
        self.dim, self.grid = VISION, (TOKENS, 1, 1)
        self.preprocessing = Preprocessing(size=(4, 4), num_frames=TOKENS)
        self.linear, self.norm = nn.Linear(3 * 4 * 4, VISION), nn.BatchNorm1d(TOKENS)
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def forward(self, video):
        return self.norm(self.linear(video.float().div(255).flatten(2)))

    def fingerprint(self) -> str:
        return "pixels"


Make = Callable[..., Objective]


@pytest.fixture
def jepa(tiny_bert: str) -> Make:
    def make(
        *, loss: Any = None, frozen: bool = True, freeze: bool = True, dropout: float = 0.0
    ) -> Objective:
        return JEPAObjective(
            vision_encoder=Pixels(frozen=frozen),
            predictor=TransformerPredictor(
                dim=WIDTH, layers=LAYERS, heads=2, query_model=tiny_bert, dropout=dropout
            ),
            text_encoder=HFText(model=tiny_bert, freeze=freeze),
            loss=loss or SIGReg(weight=0.0, directions=8),
            embed_dim=EMBED,
        )

    return make


@pytest.fixture
def token(tiny_bert: str) -> Make:
    def make() -> Objective:
        language_model = TransformerLM(dim=WIDTH, layers=LAYERS, heads=2, model=tiny_bert)
        return TokenObjective(vision_encoder=Pixels(), language_model=language_model)

    return make


def batch_for(objective: Objective) -> Batch:
    texts = ["go", "take the key", "open it", "go"]
    queries = ["what is it", "", "why", "is it"]
    rows = [
        Item(
            Sample(id=str(i), media="clip", query=query, target=text),
            index=i,
            video=torch.randint(0, 256, (TOKENS, 3, 4, 4), dtype=torch.uint8),
        )
        for i, (text, query) in enumerate(zip(texts, queries, strict=True))
    ]
    return objective.collator()(rows)


def stack_macs(length: int) -> int:
    """Multiplications of the transformer over a sequence: projections, attention, feed-forward."""
    return LAYERS * (length * (4 * WIDTH**2 + 2 * WIDTH * 4 * WIDTH) + 2 * length**2 * WIDTH)


def test_the_operations_of_jepa_are_those_of_the_closed_formula(jepa: Make):
    objective = jepa()
    batch = batch_for(objective)
    rows, words = batch.query.ids.shape
    forward = TOKENS * VISION * WIDTH + stack_macs(TOKENS + words) + WIDTH * EMBED
    query = words * TABLE * WIDTH  # the table below does not learn: forward and one half of backward
    head = 3 * TABLE * EMBED  # of 3 distinct texts
    sketch = 2 * 2 * rows * EMBED * 8  # of SIGReg: two sides, forward and back to the embeddings
    cost = count(objective, batch)
    assert cost.flops_per_sample * rows == 2 * (rows * (3 * forward + 2 * query) + 2 * head + sketch)


def test_the_operations_of_the_twin_are_those_of_the_closed_formula(token: Make):
    objective = token()
    batch = batch_for(objective)
    rows, words = batch.query.ids.shape
    said = batch.target.ids.shape[1] - 1
    vocabulary = objective.language_model.embedding.table.num_embeddings
    # a row's query and target stand together: the sequence is as long as the longest two, less the last token
    forward = TOKENS * VISION * WIDTH + stack_macs(TOKENS + batch.longest_text - 1)
    table = (words + said) * TABLE * WIDTH
    spoken = int(batch.target.mask.sum()) * WIDTH * vocabulary
    cost = count(objective, batch)
    assert cost.flops_per_sample * rows == 2 * (rows * (3 * forward + 2 * table) + 3 * spoken)


def test_cached_tokens_and_frames_of_a_frozen_encoder_cost_the_same(jepa: Make):
    objective = jepa()
    batch = batch_for(objective)
    seen = count(objective, batch)
    batch.tokens, batch.video = objective.visual_tokens(batch), None
    cached = count(objective, batch)
    assert (seen.flops_per_sample, seen.flops_vision) == (cached.flops_per_sample, cached.flops_vision)
    assert seen.flops_vision == 2 * TOKENS * 48 * VISION


def test_a_vision_encoder_that_learns_is_part_of_the_step(jepa: Make):
    frozen, learning = jepa(), jepa(frozen=False)
    batch = batch_for(frozen)
    one, other = count(frozen, batch), count(learning, batch)
    assert other.flops_vision == 0
    # its input needs no gradient; but the linear map of the frozen one's tokens needs none of its own
    assert other.flops_per_sample - one.flops_per_sample == 2 * 2 * TOKENS * 48 * VISION


def test_a_frozen_text_encoder_reads_a_text_once_and_a_learning_one_in_every_step(jepa: Make):
    frozen, learning = jepa(), jepa(freeze=False)
    batch = batch_for(frozen)
    one, other = count(frozen, batch), count(learning, batch)
    assert one.flops_text > 0
    assert other.flops_text == 0
    assert other.flops_per_sample > one.flops_per_sample


def test_parts_add_up_to_the_whole_and_say_what_learns(jepa: Make, token: Make):
    for objective in (jepa(), jepa(freeze=False), token()):
        parts = count(objective, batch_for(objective)).parameters
        for word, learns in (("trained", True), ("frozen", False)):
            whole = sum(p.numel() for p in objective.parameters() if p.requires_grad is learns)
            assert sum(part[word] for part in parts.values()) == whole
    assert parts["vocabulary_head"]["trained"] == (WIDTH + 1) * parts["token_embedding"]["frozen"] // TABLE
    assert parts["visual_projection"]["trained"] == 2 * VISION + (VISION + 1) * WIDTH


def test_a_table_that_is_also_the_head_is_counted_once(tiny_llama: str):
    from jepa_vl.language.hf_causal import HFCausalLM

    language_model = HFCausalLM(model=tiny_llama)
    language_model.lm.lm_head.weight = language_model.lm.get_input_embeddings().weight
    objective = TokenObjective(vision_encoder=Pixels(), language_model=language_model)
    parts = count(objective, batch_for(objective)).parameters
    assert "vocabulary_head" not in parts
    assert parts["token_embedding"]["trained"] == language_model.lm.get_input_embeddings().weight.numel()
    assert sum(n for part in parts.values() for n in part.values()) == sum(
        p.numel() for p in objective.parameters()
    )


class Counting(Callback):
    """Counts before the second step of a run, as a runner may."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx != 1:
            return
        before = (copy.deepcopy(pl_module.state_dict()), torch.get_rng_state(), pl_module.loss.steps)
        gradients = {n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None}
        assert gradients  # of the step before
        count(pl_module, batch)
        torch.testing.assert_close(dict(pl_module.state_dict()), dict(before[0]), atol=0, rtol=0)
        assert torch.equal(torch.get_rng_state(), before[1])
        assert pl_module.loss.steps == before[2]
        now = {n: p.grad for n, p in pl_module.named_parameters() if p.grad is not None}
        torch.testing.assert_close(now, gradients, atol=0, rtol=0)
        assert pl_module.trainer.global_step == 1
        self.done = True


def test_counting_leaves_a_run_as_it_was(jepa: Make, tmp_path):
    def train(*callbacks: Callback) -> dict[str, Any]:
        torch.manual_seed(0)
        objective = jepa(frozen=False, dropout=0.5)
        loader = DataLoader([batch_for(objective)] * 4, batch_size=None)
        trainer = Trainer(
            max_steps=4,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            callbacks=list(callbacks),
        )
        trainer.fit(objective, loader)
        return objective.state_dict()

    counting = Counting()
    with_it, without = train(counting), train()
    assert counting.done
    for name, value in without.items():
        torch.testing.assert_close(with_it[name], value, atol=0, rtol=0)
