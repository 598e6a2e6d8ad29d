from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer

from jepa_vl.compare.control.rates import rates
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.errors import UserError
from jepa_vl.objectives.token import TokenObjective


def token(compare, *overrides: str) -> TokenObjective:
    parts, _ = build_parts(compare(*overrides).arm("token").values)
    assert isinstance(parts.objective, TokenObjective)
    return parts.objective


def factors(told: str) -> list[float]:
    inner = told.partition("× ")[2].partition(" ·")[0]
    return [float(each.split(" at ")[0]) for each in inner.split(", ")]


def test_the_factors_of_a_cosine_are_those_of_its_formula(compare) -> None:
    found = rates(token(compare, "objective.optimizer.schedule=cosine"), steps=10, at=[1, 2, 6, 10])
    # the rate of step k is that of k - 1 steps taken; warm-up over 2, then half a cosine over 8
    cosine = [(1 + math.cos(math.pi * (step - 2) / 8)) / 2 for step in (5, 9)]
    assert found.schedule.startswith("cosine, warm-up 2: ")
    assert factors(found.schedule) == pytest.approx([0.5, 1.0, *cosine], rel=1e-2)
    assert (found.rate, found.weight_decay) == (1e-3, 0.05)
    assert found.optimizer.startswith("AdamW betas (0.9, 0.98), eps 1e-08")


def test_the_factors_are_those_of_a_real_run(compare) -> None:
    seen: list[float] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
            group = trainer.optimizers[0].param_groups[0]
            seen.append(group["lr"] / 1e-3)

    parts, _ = build_parts(compare("objective.optimizer.schedule=cosine").arm("token").values)
    told = rates(parts.objective, steps=10, at=range(1, 11)).schedule
    trainer = Trainer(
        accelerator="cpu", max_steps=10, logger=False, callbacks=[Watch()], limit_val_batches=0,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(parts.objective, datamodule=parts.data)
    assert factors(told) == pytest.approx(seen, rel=1e-2)


def test_schedules_that_agree_at_the_budgets_alone_are_told_apart(compare) -> None:
    first = rates(token(compare), steps=10, at=[10]).schedule
    other = rates(token(compare, "objective.optimizer.warmup_steps=4"), steps=10, at=[10]).schedule
    assert factors(first) == factors(other) == [1.0]
    assert first.partition(" · ")[2] != other.partition(" · ")[2]


def test_an_optimizer_without_a_schedule_has_a_constant_rate(
    compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lambda self: torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)  # noqa: E731
    monkeypatch.setattr(TokenObjective, "configure_optimizers", plain)
    found = rates(token(compare), steps=3, at=[1, 3])
    assert factors(found.schedule) == [1.0, 1.0]
    assert found.optimizer == "SGD momentum 0.9"
    assert found.rate == 0.5


def test_what_cannot_be_gone_through_is_refused_by_name(compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenObjective, "configure_optimizers", lambda self: ([], []))
    with pytest.raises(UserError, match=r"TokenObjective\.configure_optimizers returns tuple; .*optimizer"):
        rates(token(compare), steps=3, at=[1])
