"""A plan against what the real, small model has and does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from jepa_vl.compare.costs.parameters import parameters_by_part
from jepa_vl.compare.costs.training import count
from jepa_vl.objectives.base import Objective
from jepa_vl.planning.cards import Card
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import Plan, make_plan
from jepa_vl.sample import Batch

Values = Callable[..., dict[str, Any]]
Real = Callable[..., tuple[Objective, Batch]]
CARD = Card("test", 10.0, None, "nowhere")


def planned(values: dict[str, Any], *, query: int = 5, target: int = 8) -> Plan:
    return make_plan(values, lengths=Lengths(query, target), card=CARD, utilisation=0.5)


@pytest.mark.parametrize("freeze", ["true", "false"])
@pytest.mark.parametrize("learns", ["false", "true"])
def test_jepas_operations_and_parameters_are_those_that_are_counted(
    jepa: Values, real: Real, freeze: str, learns: str
) -> None:
    frozen = "false" if learns == "true" else "true"
    values = jepa("objective.vision_encoder.frozen", frozen, "objective.text_encoder.freeze", freeze)
    objective, batch = real(values, query=5, target=6)  # and a begin and an end token
    assert (batch.query.ids.shape[1], batch.target.ids.shape[1]) == (5, 8)
    cost, plan = count(objective, batch), planned(values)
    assert plan.step.flops == cost.flops_per_sample
    assert plan.step.flops_vision == cost.flops_vision
    assert plan.step.flops_text == cost.flops_text
    assert plan.parameters == cost.parameters


@pytest.mark.parametrize("cached", ["true", "false"])
def test_the_twins_operations_and_parameters_are_those_that_are_counted(
    token: Values, real: Real, cached: str
) -> None:
    values = token("data.cache_features", cached)
    objective, batch = real(values, query=5, target=7)  # and an end token
    cost, plan = count(objective, batch), planned(values)
    assert (plan.step.flops, plan.step.flops_vision) == (cost.flops_per_sample, cost.flops_vision)
    assert plan.parameters == cost.parameters
    seen = 0 if cached == "true" else cost.flops_vision
    assert plan.flops_per_sample == cost.flops_per_sample + seen


def test_the_loss_of_several_processes_compares_with_all_their_columns(jepa: Values) -> None:
    one, four = planned(jepa()), planned(jepa("trainer.devices", "4"))
    columns, embed, batch = 16, 24, 16
    # a product of [B, E] and [E, W·B], once forward and twice back
    more = 3 * 2 * batch * embed * columns * (4 - 1)
    assert (four.step.flops - one.step.flops) * batch == more
    assert four.size.global_batch == 64
    assert four.memory.buckets == sum(p.gradients for p in four.memory.parts.values())
    assert not one.memory.buckets


def test_what_is_held_through_training_is_exact(jepa: Values, real: Real) -> None:
    values = jepa()
    objective, _ = real(values, query=1, target=1)
    plan = planned(values)
    weights = sum(t.numel() * t.element_size() for t in (*objective.parameters(), *objective.buffers()))
    trained = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    assert sum(part.weights for part in plan.memory.parts.values()) == weights
    assert sum(part.gradients for part in plan.memory.parts.values()) == 4 * trained
    assert sum(part.optimizer for part in plan.memory.parts.values()) == 8 * trained
    assert parameters_by_part(objective) == plan.parameters


def test_the_decoders_operations_and_parameters_are_those_that_are_counted(
    decoder: Values, real: Real
) -> None:
    values = decoder()
    objective, batch = real(values, query=0, target=7)
    cost, plan = count(objective, batch), planned(values)
    assert plan.step.flops == cost.flops_per_sample
    assert plan.step.flops_vision == plan.frames == plan.visual_tokens == 0
    assert {k: v for k, v in plan.parameters.items() if k != "text_space"} == cost.parameters
    assert plan.parameters["text_space"]["frozen"] > 0
    assert plan.step.flops_text > 0


@pytest.mark.slow
def test_half_precision_halves_what_is_held_and_mixed_does_not(jepa: Values) -> None:
    whole, half, mixed = (
        planned(jepa("trainer.precision", word)) for word in ("32-true", "bf16-true", "bf16-mixed")
    )
    held = [sum(part.gradients for part in plan.memory.parts.values()) for plan in (whole, half, mixed)]
    assert held[0] == 2 * held[1] == held[2]
    assert max(half.memory.working, mixed.memory.working) < 0.7 * whole.memory.working
    assert whole.step.flops == half.step.flops == mixed.step.flops


@pytest.mark.slow
def test_working_memory_grows_with_the_batch_and_nothing_else_does(jepa: Values) -> None:
    small, large = planned(jepa()), planned(jepa("data.batch_size", "32"))
    assert small.memory.parts == large.memory.parts
    assert 1.8 < large.memory.working / small.memory.working < 2.3


@pytest.mark.slow
def test_dropout_takes_no_matrix_of_attention(jepa: Values) -> None:
    plain, dropped = planned(jepa()), planned(jepa("objective.predictor.dropout", "0.1"))
    assert plain.step.flops == dropped.step.flops
    assert dropped.memory.working < 1.6 * plain.memory.working
    again = planned(
        jepa("objective.predictor.dropout", "0.1", "objective.layers.checkpoint_activations", "true")
    )
    assert again.memory.working < 1.6 * plain.memory.working


@pytest.mark.slow
def test_hours_are_the_operations_of_all_samples_at_a_share_of_the_peak(jepa: Values) -> None:
    plan = planned(jepa("trainer.devices", "2", "trainer.accumulate_grad_batches", "3"))
    samples = 10 * 16 * 2 * 3
    assert plan.samples == samples
    assert plan.card_hours == pytest.approx(samples * plan.step.flops / (10e12 * 0.5) / 3600)
    assert json.loads(json.dumps(plan.as_dict()))["wall_hours"] == plan.card_hours / 2
    unknown = planned(jepa("trainer.max_steps", "-1"))
    assert unknown.card_hours is None
    assert any("max_steps" in note for note in unknown.notes)


@pytest.mark.slow
def test_a_longer_text_than_is_read_is_cut_and_a_vocabulary_of_the_data_counts_as_all(token: Values) -> None:
    values = token("objective.language_model.vocabulary", "data", "objective.language_model.max_length", "20")
    plan = planned(values, target=50)
    assert plan.lengths.target == 20
    assert any("cut to 20" in note for note in plan.notes)
    assert any("counted as 'all'" in note for note in plan.notes)
    assert plan.parameters["vocabulary_head"] == planned(token()).parameters["vocabulary_head"]


def test_a_plan_leaves_no_process_group_and_no_mode_behind(jepa: Values) -> None:
    planned(jepa("trainer.devices", "4"))
    assert not torch.distributed.is_initialized()
    assert float(torch.ones(3).sum()) == 3
    assert torch.get_default_device().type == "cpu"
