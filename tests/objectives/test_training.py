"""Both objectives in a real trainer."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.text.hf_text import HFText


def frozen_state(objective):
    return {n: p.detach().clone() for n, p in objective.named_parameters() if not p.requires_grad}


def test_jepa_overfits_one_batch(jepa, batch_of, fit):
    objective = jepa()
    before = frozen_state(objective)
    logged = fit(objective, batch_of, steps=60)
    assert logged["train/loss"] < 0.05
    assert logged["train/in_batch_recall"] == 1
    assert before
    for name, weight in frozen_state(objective).items():
        assert torch.equal(weight, before[name]), f"{name} is frozen and has changed"


def test_token_overfits_one_batch_and_says_it(any_token, batch_of, fit):
    before = frozen_state(any_token)
    logged = fit(any_token, batch_of, steps=150)
    assert logged["train/loss"] < 0.05
    for name, weight in frozen_state(any_token).items():
        assert torch.equal(weight, before[name]), f"{name} is frozen and has changed"
    any_token.eval()
    batch = batch_of(any_token)
    assert any_token.generate(batch) == [sample.target for sample in batch.samples]
    targets = [sample.target for sample in batch.samples]
    assert [int(s.argmax()) for s in any_token.score(batch, [targets] * 4)] == [0, 1, 2, 3]
    assert logged["train/in_batch_recall"] == 1


def test_token_logs_what_shows_a_loss_that_learned_nothing(any_token, batch_of, fit):
    logged = fit(any_token, batch_of, steps=2)
    names = {
        "loss",
        "ln_v",
        "in_batch_recall",
        "perplexity",
        "grad_norm",
        "state_std",
        "state_effective_rank",
    }
    assert {f"train/{name}" for name in names} <= set(logged)
    vocabulary = any_token.language_model.logits(torch.zeros(1, any_token.language_model.dim)).shape[-1]
    assert math.isclose(float(logged["train/ln_v"]), math.log(vocabulary), rel_tol=1e-5)


def test_jepa_logs_what_shows_a_collapse_or_a_loss_that_learned_nothing(jepa, batch_of, fit):
    logged = fit(jepa(), batch_of, steps=2)
    names = {
        "loss", "ln_b", "in_batch_recall", "temperature", "grad_norm", "truncated_texts",
        "predicted_std", "target_std", "predicted_effective_rank", "target_effective_rank",
    }  # fmt: skip
    assert {f"train/{name}" for name in names} <= set(logged)
    assert math.isclose(float(logged["train/ln_b"]), math.log(4), rel_tol=1e-5)
    assert 1 <= logged["train/predicted_effective_rank"] <= 4


def test_costly_numbers_are_only_taken_on_steps_that_are_written(jepa, batch_of, fit, monkeypatch):
    calls = []
    monkeypatch.setattr("jepa_vl.objectives.jepa.effective_rank", lambda x: calls.append(1) or x.sum())
    fit(jepa(), batch_of, steps=9, log_every=4)
    assert len(calls) == 2 * 2


def test_grad_norm_is_that_of_all_gradients(jepa, batch_of, fit):
    objective = jepa(loss=InfoNCE(learnable=False))
    batch = batch_of(objective)
    predicted = objective.predictor(objective.visual_tokens(batch), batch.query)
    objective.loss(predicted, objective.text_encoder(batch.target), batch.group)[0].backward()
    want = sum(float(p.grad.square().sum()) for p in objective.parameters() if p.grad is not None) ** 0.5
    objective.zero_grad()
    logged = fit(objective, batch_of, steps=1)
    assert float(logged["train/grad_norm"]) == pytest.approx(want, rel=1e-4)


def test_cut_texts_are_counted_and_said_once(jepa, batch_of, fit, tiny_bert, caplog):
    objective = jepa(text_encoder=HFText(model=tiny_bert, freeze=True, max_length=8))
    with caplog.at_level(logging.WARNING, logger="jepa_vl"):
        logged = fit(objective, batch_of, steps=3)
    assert logged["train/truncated_texts"] == 2 * 3
    said = [r for r in caplog.records if "cut off" in r.getMessage()]
    assert len(said) == 1
    assert "2 of 8 texts" in said[0].getMessage()


def test_cached_tokens_and_live_frames_give_the_same_loss(jepa, any_token, batch_of):
    for objective in (jepa().eval(), any_token.eval()):
        live = batch_of(objective)
        cached = batch_of(objective)
        cached.tokens, cached.video = objective.vision_encoder(live.video), None
        assert torch.equal(objective.visual_tokens(live), objective.visual_tokens(cached))


def test_an_unfrozen_vision_encoder_learns(jepa, batch_of, fit, patches):
    encoder = patches(frozen=False)
    before = encoder.linear.weight.detach().clone()
    fit(jepa(vision_encoder=encoder), batch_of, steps=2)
    assert not torch.equal(before, encoder.linear.weight)


def test_predict_says_what_the_objective_can(jepa, any_token, batch_of):
    with torch.no_grad():
        rows = jepa().eval().predict_step(batch_of(jepa()))
        assert [row["id"] for row in rows] == ["0", "1", "2", "3"]
        assert rows[0]["embedding"].shape == (16,)
        assert set(any_token.eval().predict_step(batch_of(any_token))[0]) == {"id", "text"}


@pytest.mark.parametrize("frozen", [True, False])
def test_what_is_trained_is_in_training_mode_and_what_is_frozen_is_not(every, batch_of, fit, frozen):
    """A pretrained part comes in eval mode, and Lightning trains in the mode that it finds."""
    objective = every(frozen=frozen).eval()
    fit(objective, batch_of, steps=1)
    for name, part in objective.named_modules():
        own = [parameter.requires_grad for parameter in part.parameters()]
        assert part.training or not own or not all(own), f"{name} is trained in eval mode"
        for one in getattr(part, "_frozen_parts", []):
            assert not one.training, f"a part of {name} is frozen and in training mode"
    text_encoder = getattr(objective, "text_encoder", None)
    assert text_encoder is None or text_encoder.backbone.training != frozen
