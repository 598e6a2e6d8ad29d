"""Layers that are computed again, or compiled: the same learning, the same names, less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.layers import LayerSettings, checkpoint_layers, layers_of, trained_layers
from jepa_vl.text.hf_text import HFText

AGAIN = LayerSettings(checkpoint_activations=True)
EAGER = LayerSettings(compile="eager")


def gradients(objective, batch):
    """Loss and gradients of one step, with dropout drawn alike."""
    objective.configure_model()
    objective.train()
    torch.manual_seed(1)
    objective.zero_grad()
    predicted = objective.training_step(batch, 0)
    predicted.backward()
    return predicted.detach(), {n: p.grad for n, p in objective.named_parameters() if p.grad is not None}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    from jepa_vl.objectives.trained import TrainedObjective

    monkeypatch.setattr(TrainedObjective, "log_train", lambda *_, **__: None)
    monkeypatch.setattr(TrainedObjective, "logs_now", False)


@pytest.mark.parametrize(
    "layers", [AGAIN, EAGER, LayerSettings(checkpoint_activations=True, compile="eager")]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_exactly_those_of_layers_as_they_are(every, batch_of, layers, dropout):
    objective = every(dropout=dropout, frozen=False)
    batch = batch_of(objective)
    want = gradients(objective, batch)
    got = gradients(every(dropout=dropout, frozen=False, layers=layers), batch)
    torch.testing.assert_close(got, want, atol=0, rtol=0)


def saved(objective, batch):
    """Numbers that are kept for the backward pass, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in objective.parameters()}
    kept = {}
    note = lambda x: kept.setdefault(x.untyped_storage().data_ptr(), x.untyped_storage().nbytes()) and x  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        objective.configure_model()
        objective.training_step(batch, 0)
    return sum(size for place, size in kept.items() if place not in own)


def test_much_less_is_kept(every, batch_of):
    objective = every(frozen=False)
    batch = batch_of(objective)
    assert saved(every(frozen=False, layers=AGAIN), batch) < 0.6 * saved(objective, batch)


def test_names_are_the_same_and_checkpoints_fit_both_ways(every):
    plain = every()
    prepared = every(layers=LayerSettings(checkpoint_activations=True, compile="eager"))
    prepared.configure_model()
    assert plain.state_dict().keys() == prepared.state_dict().keys()
    assert [n for n, _ in plain.named_parameters()] == [n for n, _ in prepared.named_parameters()]
    plain.load_state_dict(prepared.state_dict())
    prepared.load_state_dict(plain.state_dict())


def test_a_copy_runs_its_own_layers(every, batch_of):
    objective = every(layers=LayerSettings(checkpoint_activations=True, compile="eager"))
    batch = batch_of(objective)
    want = gradients(objective, batch)
    objective.zero_grad()
    copied = copy.deepcopy(objective)
    torch.testing.assert_close(gradients(copied, batch), want)
    assert all(p.grad is None for p in objective.parameters())


def test_what_it_says_and_scores_is_the_same(every, batch_of):
    plain, prepared = every().eval(), every(layers=AGAIN).eval()
    prepared.configure_model()
    batch = batch_of(plain)
    with torch.no_grad():
        if "generate" in plain.abilities:
            assert plain.generate(batch) == prepared.generate(batch)
        else:
            assert torch.equal(plain.embed_video(batch), prepared.embed_video(batch))


def test_frozen_layers_and_those_with_batch_norm_are_left_as_they_are(tiny_bert):
    frozen = HFText(model=tiny_bert, freeze=True)
    assert len(list(layers_of(frozen))) == 2
    assert not list(trained_layers(frozen))
    block = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    network = nn.Sequential(nn.ModuleList([block]))
    checkpoint_layers(network)
    assert "forward" not in vars(block)


def test_an_unknown_backend_is_refused_by_name():
    with pytest.raises(RecipeError, match=r"no backend 'inducter'; choose from .*inductor"):
        LayerSettings(compile="inducter")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_layers_learn_the_same_with_texts_of_other_lengths(every, fit, monkeypatch, backend):
    def trained(layers):
        objective = every(frozen=False, layers=layers)
        losses, step = [], objective.training_step
        monkeypatch.setattr(objective, "training_step", lambda *b: losses.append(step(*b)) or losses[-1])
        for targets in (["open the blue door", "red"], ["no", "pick up the key now"]):
            fit(objective, None, steps=3, targets=targets)
        return torch.stack(losses).detach(), objective.state_dict()

    torch.testing.assert_close(
        trained(LayerSettings(compile=backend)), trained(LayerSettings()), atol=2e-3, rtol=2e-3
    )
