from __future__ import annotations

import math

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.schedule import OptimizerSettings, build_optimizer, warmup_constant, warmup_cosine


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_warm_up_rises_in_equal_steps_from_above_zero_and_then_stays() -> None:
    assert [warmup_constant(4)(s) for s in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_without_warm_up_the_first_step_is_at_the_full_rate() -> None:
    assert warmup_constant(0)(0) == 1
    assert warmup_cosine(0, 10)(0) == 1


def test_cosine_is_continuous_at_the_peak_halfway_at_half_and_stays_at_the_floor() -> None:
    factor = warmup_cosine(10, 110, 0.2)
    assert factor(9) == factor(10) == 1
    assert factor(60) == pytest.approx(0.6)
    assert factor(110) == factor(500) == pytest.approx(0.2)
    falling = [factor(s) for s in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.1)
    ours = warmup_cosine(0, 20, 0.1)
    for step in range(20):
        assert ours(step) == pytest.approx(peer.get_last_lr()[0])
        optimizer.step()
        peer.step()


def test_a_run_shorter_than_its_warm_up_stays_in_it() -> None:
    assert [warmup_cosine(100, 3)(s) for s in range(3)] == [0.01, 0.02, 0.03]


def test_groups_have_their_own_rate_and_vectors_no_decay() -> None:
    head, body = model(), model()
    settings = OptimizerSettings(lr=0.01, weight_decay=0.1, schedule="constant", warmup_steps=0)
    groups = [("text.1", 1.0, list(head.parameters())), ("text.2", 0.05, list(body.parameters()))]
    optimizer, _ = build_optimizer(settings, groups, 10)
    got = {
        g["name"]: (g["lr"], g["weight_decay"], {p.ndim for p in g["params"]}) for g in optimizer.param_groups
    }
    assert got == {
        "text.1": (0.01, 0.1, {2}),
        "text.1/no-decay": (0.01, 0.0, {1}),
        "text.2": (pytest.approx(0.0005), 0.1, {2}),
        "text.2/no-decay": (pytest.approx(0.0005), 0.0, {1}),
    }
    trained = {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert trained == {id(p) for m in (head, body) for p in m.parameters()}


def test_a_scalar_such_as_the_temperature_does_not_decay() -> None:
    scale = nn.Parameter(torch.tensor(2.0))
    optimizer, _ = build_optimizer(OptimizerSettings(), [("loss", 1.0, [scale])], 10)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.0]


def test_frozen_parameters_are_left_out() -> None:
    part = model()
    part[0].requires_grad_(False)
    optimizer, _ = build_optimizer(OptimizerSettings(), [("x", 1.0, list(part.parameters()))], 10)
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 4


def test_nothing_to_train_is_said() -> None:
    with pytest.raises(UserError, match="nothing to train"):
        build_optimizer(OptimizerSettings(), [("x", 1.0, [])], 10)


@pytest.mark.parametrize("steps", [-1, math.inf])
def test_a_cosine_over_a_run_without_end_names_the_keys(steps: float) -> None:
    groups = [("x", 1.0, list(model().parameters()))]
    with pytest.raises(RecipeError, match=r"trainer\.max_steps or trainer\.max_epochs, or choose 'constant'"):
        build_optimizer(OptimizerSettings(schedule="cosine"), groups, steps)
    build_optimizer(OptimizerSettings(schedule="constant"), groups, steps)


def test_the_schedule_moves_every_group_in_proportion() -> None:
    part = model()
    settings = OptimizerSettings(lr=1.0, warmup_steps=2, floor=0.5)
    groups = [("a", 1.0, list(part[0].parameters())), ("b", 0.1, list(part[2].parameters()))]
    optimizer, scheduler = build_optimizer(settings, groups, 4)
    seen = []
    for _ in range(5):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[2]["lr"]))
        optimizer.step()
        scheduler.step()
    assert [a for a, _ in seen] == pytest.approx([0.5, 1, 1, 0.75, 0.5])
    assert [b for _, b in seen] == pytest.approx([0.05, 0.1, 0.1, 0.075, 0.05])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.0),
        ("weight_decay", -1.0),
        ("betas", (0.9, 1.0)),
        ("eps", 0.0),
        ("warmup_steps", -1),
        ("floor", 2.0),
    ],
)
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"optimizer\.{key} must be .*, got"):
        OptimizerSettings(**{key: value})


class Owner:
    def __init__(self, *, optimizer: OptimizerSettings = OptimizerSettings()) -> None:  # noqa: B008
        self.optimizer = optimizer


def test_it_can_be_set_from_the_command_line_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(Owner, "objective")
    parsed = parser.parse_args(["--objective.optimizer.lr=0.5", "--objective.optimizer.betas=[0.8,0.9]"])
    got = parser.instantiate_classes(parsed).objective.optimizer
    assert got == OptimizerSettings(lr=0.5, betas=(0.8, 0.9))
    with pytest.raises(SystemExit):
        parser.parse_args(["--objective.optimizer.schedule=linear"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "Peak learning rate" in capsys.readouterr().out


class Small(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch: Tensor) -> Tensor:
        return self.layer(batch).square().mean() * 1e3

    def configure_optimizers(self):
        settings = OptimizerSettings(warmup_steps=0)
        optimizer, _ = build_optimizer(settings, [("all", 1.0, list(self.parameters()))], 10)
        return optimizer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_fused_optimizer_lets_lightning_clip_in_every_precision(precision) -> None:
    """Lightning refuses to clip with an optimizer that says it unscales gradients itself."""
    trainer = Trainer(
        max_steps=2,
        precision=precision,
        gradient_clip_val=0.5,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Small()
    before = module.layer.weight.detach().clone()
    trainer.fit(module, DataLoader(torch.randn(8, 4), batch_size=4))
    assert not torch.equal(before, module.layer.weight)
    assert module.layer.weight.isfinite().all()


def test_a_gradient_scaler_unscales_before_the_clipping_and_skips_a_step_with_inf() -> None:
    plain, scaled = model(), model()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def make(part: nn.Module) -> torch.optim.Optimizer:
        settings = OptimizerSettings(warmup_steps=0)
        return build_optimizer(settings, [("all", 1.0, list(part.parameters()))], 10)[0]

    first, second = make(plain), make(scaled)
    plain(x).square().sum().backward()
    nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
    first.step()
    scaler.scale(scaled(x).square().sum()).backward()
    scaler.unscale_(second)
    nn.utils.clip_grad_norm_(scaled.parameters(), 0.1)
    scaler.step(second)
    scaler.update()
    for a, b in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    second.zero_grad()
    before = [p.detach().clone() for p in scaled.parameters()]
    scaler.scale(scaled(x).sum() * math.inf).backward()
    scaler.step(second)
    torch.testing.assert_close(list(scaled.parameters()), before, rtol=0, atol=0)
