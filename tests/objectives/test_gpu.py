"""What only a GPU can show of every objective: kernels of its own, half precision, compiled layers."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.objectives.layers import LayerSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

LAYERS = {
    "as they are": LayerSettings(),
    "again": LayerSettings(checkpoint_activations=True),
    "compiled": LayerSettings(compile="inductor"),
    "both": LayerSettings(checkpoint_activations=True, compile="inductor"),
}


def losses_of(objective, fit, monkeypatch, **options):
    losses = []
    step = objective.training_step
    monkeypatch.setattr(objective, "training_step", lambda *batch: losses.append(step(*batch)) or losses[-1])
    fit(objective, None, steps=12, **options)
    return torch.stack([loss.detach().cpu() for loss in losses])


def test_it_learns_what_it_does_on_a_processor(every, fit, monkeypatch):
    cpu = losses_of(every(), fit, monkeypatch)
    gpu = losses_of(every(), fit, monkeypatch, accelerator="gpu", devices=1)
    torch.testing.assert_close(gpu, cpu, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
def test_it_learns_in_every_precision_and_with_every_way_to_run_its_layers(
    every, fit, monkeypatch, precision, layers
):
    objective = every(layers=layers)
    losses = losses_of(objective, fit, monkeypatch, accelerator="gpu", devices=1, precision=precision)
    assert losses.dtype == torch.float32
    assert losses[-1] < 0.7 * losses[0]


def test_compiled_layers_give_the_gradient_of_the_others(every, fit, monkeypatch):
    plain = losses_of(every(), fit, monkeypatch, accelerator="gpu", devices=1)
    compiled = losses_of(every(layers=LAYERS["compiled"]), fit, monkeypatch, accelerator="gpu", devices=1)
    torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4)
