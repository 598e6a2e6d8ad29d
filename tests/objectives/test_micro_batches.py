"""Micro-batches: the gradient of the whole batch, from parts that are embedded twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jepa_vl.errors import RecipeError
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigreg import SIGReg
from jepa_vl.losses.vicreg import VICReg
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.micro_batches import micro_batches
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Batch
from jepa_vl.text.hf_text import HFText

TARGETS = ["open the blue door", "red", "no", "pick up the key", "red", "a red ball", "no"]


@pytest.fixture
def build(jepa: Callable[..., JEPAObjective], tiny_bert: str) -> Callable[..., JEPAObjective]:
    """An objective whose text encoder learns, with the same weights each time."""

    def make(micro_batch: int | None = None, *, dropout: float = 0.0, **arguments: Any) -> JEPAObjective:
        torch.manual_seed(1)
        predictor = TransformerPredictor(dim=32, layers=2, heads=2, dropout=dropout, query_model=tiny_bert)
        text_encoder = HFText(model=tiny_bert)
        for part in text_encoder.backbone.modules():
            if isinstance(part, nn.Dropout):
                part.p = dropout
        objective = jepa(micro_batch=micro_batch, predictor=predictor, text_encoder=text_encoder, **arguments)
        return objective.train()

    return make


@pytest.fixture
def batch(build: Callable[..., JEPAObjective], batch_of: Callable[..., Batch]) -> Batch:
    """Seven samples, the tokens of their clips in float64."""
    batch = batch_of(build(), targets=TARGETS)
    tokens = torch.randn(len(batch), 4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return replace(batch, tokens=tokens, video=None)


def in_parts(objective: JEPAObjective, batch: Batch, size: int) -> tuple[Tensor, Tensor]:
    """The same parts in the same order, with all their activations kept."""
    parts = [objective(part) for part in micro_batches(batch, size)]
    return torch.cat([p for p, _ in parts]), torch.cat([t for _, t in parts])


def learn(objective: JEPAObjective, batch: Batch, embed: Callable[..., Any]) -> dict[str, Tensor]:
    """Gradients of all parameters, the loss, and the next random number."""
    torch.manual_seed(3)
    loss, _ = objective.loss(*embed(objective, batch), batch.group)
    loss.backward()
    found = {n: p.grad for n, p in objective.named_parameters() if p.grad is not None}
    return {**found, "loss": loss.detach(), "random": torch.rand(())}


def whole(objective: JEPAObjective, batch: Batch) -> Any:
    return objective(batch)


@pytest.mark.parametrize("loss", [InfoNCE, VICReg, SIGReg])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_gradients_are_those_of_the_whole_batch(size: int, loss: Any, build: Any, batch: Batch) -> None:
    plain, parts = build(loss=loss()).double(), build(size, loss=loss()).double()
    want, got = learn(plain, batch, whole), learn(parts, batch, whole)
    assert any(name.startswith("text_encoder.backbone") for name in want)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def test_dropout_is_drawn_again_as_it_was_and_goes_on_as_if_drawn_once(build: Any, batch: Batch) -> None:
    kept, twice = build(dropout=0.3).double(), build(3, dropout=0.3).double()
    want = learn(kept, batch, lambda o, b: in_parts(o, b, 3))
    torch.testing.assert_close(learn(twice, batch, whole), want, rtol=0, atol=0)
    without = learn(build().double(), batch, whole)
    assert not torch.allclose(want["loss"], without["loss"])


def test_under_bfloat16_autocast_the_second_pass_rounds_as_the_first(build: Any, batch: Batch) -> None:
    batch = replace(batch, tokens=batch.tokens.float())

    def rounded(embed: Callable[..., Any]) -> Callable[..., Any]:
        def run(objective: JEPAObjective, batch: Batch) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return embed(objective, batch)

        return run

    want = learn(build(dropout=0.3), batch, rounded(lambda o, b: in_parts(o, b, 3)))
    got = learn(build(3, dropout=0.3), batch, rounded(whole))
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)


def test_a_frozen_vision_encoder_sees_each_clip_once_and_a_trained_one_learns(
    build: Any, batch_of: Callable[..., Batch], patches: Any
) -> None:
    for frozen in (True, False):
        encoder = patches(frozen=frozen)
        seen: list[int] = []
        encoder.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
        objective = build(3, vision_encoder=encoder)
        learn(objective, batch_of(objective, targets=TARGETS), whole)
        assert sum(seen) == len(TARGETS) * (1 if frozen else 2)
        assert (encoder.linear.weight.grad is None) == frozen


def test_activations_of_one_part_are_in_memory_and_not_of_all(
    build: Any, batch_of: Callable[..., Batch], peak_bytes: Callable[..., int]
) -> None:
    def peak(size: int | None) -> int:
        objective = build(size)
        large = batch_of(objective, targets=["a red ball next to the box"] * 64)
        large = replace(large, group=torch.arange(64), tokens=torch.randn(64, 32, 12), video=None)
        return peak_bytes(lambda: learn(objective, large, whole))

    assert peak(4) < 0.25 * peak(None)


def test_clipped_and_accumulated_steps_are_those_of_whole_batches(
    build: Any, fit: Callable[..., Any], batch_of: Any
) -> None:
    found = []
    for size in (None, 3):
        objective = build(size)
        fit(
            objective,
            batch_of,
            steps=3,
            targets=[*TARGETS, "a key"],
            batch_size=4,
            gradient_clip_val=0.1,
            accumulate_grad_batches=2,
        )
        found.append({n: p.detach() for n, p in objective.named_parameters() if p.requires_grad})
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_a_batch_no_larger_than_a_part_is_embedded_once(build: Any, batch: Batch) -> None:
    objective = build(7).double()
    calls: list[int] = []
    objective.predictor.register_forward_hook(lambda *_: calls.append(1))
    learn(objective, batch, whole)
    assert len(calls) == 1


def test_parts_are_views_and_cover_the_batch(batch: Batch) -> None:
    parts = list(micro_batches(batch, 3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [s.id for part in parts for s in part.samples] == [s.id for s in batch.samples]
    assert batch.tokens is not None
    for start, part in zip((0, 3, 6), parts, strict=True):
        assert part.tokens is not None
        assert part.tokens.data_ptr() == batch.tokens[start].data_ptr()
        assert torch.equal(part.target.ids, batch.target.ids[start : start + 3])


def test_an_empty_part_is_refused(build: Any) -> None:
    with pytest.raises(RecipeError, match=r"objective\.micro_batch must be 1 or more, or null, got 0"):
        build(0)
