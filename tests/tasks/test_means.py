"""Rows of means: groups, classes, chance and baselines are of the same samples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Result
from jepa_vl.tasks.means import MeansTask, Measure, groups_of


class Means(MeansTask):
    name = "means"
    needs = frozenset()

    def update(self, objective: Any, batch: Any, embedding: Any) -> None:
        raise NotImplementedError

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        raise NotImplementedError


SEEN = [Sample(id=f"s{i}", media="a.mp4", target="x", episode=f"e{i // 2}") for i in range(6)]
VALUES = torch.tensor([1.0, 1, 0, 1, 0, 0])


def test_value_chance_and_baselines_are_means_over_the_groups_own_samples() -> None:
    chance = torch.tensor([0.5, 0.25, 0.25, 0.5, 0.5, 0.25])
    measure = Measure("hit", VALUES, chance, {"other": 1 - VALUES})
    whole, part = Means().report(SEEN, [measure], {"part": [1, 2, 5]})
    assert (whole.value, whole.n, whole.group) == (0.5, 6, "all")
    assert whole.chance == pytest.approx(2.25 / 6)
    assert (part.value, part.n, part.group) == (pytest.approx(1 / 3), 3, "part")
    assert part.chance == pytest.approx(0.25)
    assert part.baselines == {"other": pytest.approx(2 / 3)}


def test_the_mean_over_classes_weighs_rare_classes_as_much() -> None:
    measure = Measure("mean", VALUES, 0.5, {"other": 1 - VALUES}, classes=["a", "b", "b", "b", "b", "b"])
    whole, part = Means().report(SEEN, [measure], {"part": [0, 1, 2]})
    assert whole.value == pytest.approx((1 + 2 / 5) / 2)
    assert whole.baselines == {"other": pytest.approx((0 + 3 / 5) / 2)}
    assert part.value == pytest.approx((1 + 1 / 2) / 2)


def test_intervals_draw_whole_episodes() -> None:
    values = torch.tensor([1.0, 1, 0, 0, 0, 0])
    alone = [s.model_copy(update={"episode": None}) for s in SEEN]
    clustered, free = (Means().row(seen, Measure("hit", values, 0.5)) for seen in (SEEN, alone))
    assert clustered.high == 1, "one draw in 27 takes the good episode three times"
    assert free.high is not None
    assert free.high < 1


def test_outcomes_are_of_means_over_samples_alone() -> None:
    task = Means()
    task.report(SEEN, [Measure("hit", VALUES, 0.5), Measure("mean", VALUES, 0.5, classes=list("aabbcc"))])
    assert task.outcomes() == {"hit": {s.id: float(v) for s, v in zip(SEEN, VALUES, strict=True)}}


def test_one_key_alone_is_no_group() -> None:
    assert groups_of(["a", "a"]) == {}
    assert groups_of([None, None]) == {}
    assert groups_of(["b", "a", None, "b"]) == {"a": [1], "b": [0, 3]}
