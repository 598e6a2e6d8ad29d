"""Rows keyed by index."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.indexed import IndexedTask, episodes


class Columns(IndexedTask):
    name = "columns"
    needs = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self._add_column("number", torch.float64)
        self._add_column("vector", torch.float32)

    def update(self, objective: Any, batch: Any, embedding: Any) -> None:
        raise NotImplementedError

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        return [Result("columns", "sum", float(columns["number"].sum()), len(positions))]


def test_rows_come_once_each_and_in_order() -> None:
    task = Columns()
    task.append(torch.tensor([5, 1]), number=torch.tensor([50.0, 10]), vector=torch.ones(2, 3) * 5)
    task.append(torch.tensor([1, 3]), number=torch.tensor([99.0, 30]), vector=torch.zeros(2, 3))
    positions, columns = task.rows()
    assert positions == [1, 3, 5]
    assert columns["number"].tolist() == [10, 30, 50]
    assert columns["vector"].shape == (3, 3)
    assert columns["vector"][2].tolist() == [5, 5, 5]


def test_a_single_row_keeps_its_width() -> None:
    task = Columns()
    task.append(torch.tensor([0]), number=torch.tensor([1.0]), vector=torch.ones(1, 4))
    assert task.rows()[1]["vector"].shape == (1, 4)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_set_without_samples_of_the_task_has_no_results() -> None:
    assert Columns().compute() == []


@pytest.mark.parametrize("forget", [lambda t: t.reset(), lambda t: t], ids=["reset", "fresh"])
def test_states_without_rows_have_the_type_that_other_ranks_send(forget: Any) -> None:
    task = copy.deepcopy(Columns())
    forget(task)
    assert [state.dtype for state in task.row_index] == [torch.int64]
    assert [state.dtype for state in task.number] == [torch.float64]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_rows_of_inference_mode_can_be_used_outside_of_it() -> None:
    task = Columns()
    with torch.inference_mode():
        task.append(torch.tensor([0]), number=torch.tensor([1.0]), vector=torch.ones(1, 4))
    assert task.compute()[0].value == 1


def test_examples_are_spread_over_the_samples() -> None:
    task = Columns()
    sample = Sample(id="a", media="a", target="a")
    task._examples = [Example(sample, str(i), "") for i in range(100)]
    assert [int(e.predicted) for e in task.examples(4)] == [0, 25, 50, 75]


def test_samples_without_an_episode_are_resampled_alone() -> None:
    one = [Sample(id=i, media="m", target="t", episode=e) for i, e in [("a", "a"), ("b", "a"), ("a2", None)]]
    first, second, third = episodes(one)
    assert first == second != third
