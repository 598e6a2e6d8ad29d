"""Every objective in half precision: it trains, and its loss is float32."""

from __future__ import annotations

import pytest
import torch

PRECISIONS = ["bf16-mixed", "bf16-true"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_learns_in_half_precision_with_a_loss_in_float32(every, fit, monkeypatch, precision):
    objective = every()
    losses = []
    step = objective.training_step
    monkeypatch.setattr(objective, "training_step", lambda *batch: losses.append(step(*batch)) or losses[-1])
    fit(objective, None, steps=12, precision=precision)
    assert {loss.dtype for loss in losses} == {torch.float32}
    assert losses[-1] < 0.7 * losses[0]
    kind = torch.bfloat16 if precision == "bf16-true" else torch.float32
    assert {p.dtype for p in objective.parameters() if p.requires_grad} == {kind}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_says_and_scores_in_half_precision_what_it_does_in_float32(every, fit, batch_of, precision):
    objective = every()
    fit(objective, None, steps=1, precision=precision)
    batch = batch_of(objective.eval())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        if "embed" in objective.abilities:
            half = objective.embed_video(batch)
            assert half.dtype == torch.float32
            torch.testing.assert_close(half, objective.float().embed_video(batch), atol=0.1, rtol=0)
        if "generate" in objective.abilities:
            assert len(objective.generate(batch)) == len(batch)
