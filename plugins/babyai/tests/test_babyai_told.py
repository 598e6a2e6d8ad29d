from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import torch
from jepa_vl_babyai.captions import meaning
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.records import Chosen, samples
from jepa_vl_babyai.settings import Settings
from jepa_vl_babyai.told_task import ToldTask
from jepa_vl_babyai.wording import say

from jepa_vl.data.base import SampleSet
from jepa_vl.objectives.base import GENERATE, Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens
from jepa_vl.tasks.base import Result

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")


class Saying(Objective):
    """Says what it was given for each clip."""

    abilities = frozenset({GENERATE})

    def __init__(self, said: dict[str, str]) -> None:
        super().__init__()
        self.said = said

    def collator(self) -> Collator:
        raise NotImplementedError

    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        return [self.said[s.media] for s in batch.samples]


class Listed(SampleSet):
    def __init__(self, some: list[Sample]) -> None:
        self.name, self.samples = "test", some

    def __getitem__(self, index: int) -> Item:
        raise NotImplementedError


def batch_of(some: list[Sample], index: Sequence[int]) -> Batch:
    none = TextTokens(torch.zeros(len(index), 1).long(), torch.ones(len(index), 1).bool())
    at = torch.tensor(index)
    return Batch([some[i] for i in index], at, at, none, none, tokens=torch.zeros(len(index), 1, 2))


def evaluate(
    task: ToldTask, some: list[Sample], said: dict[str, str], batches: list[list[int]]
) -> dict[tuple[str, str], Result]:
    task.bind(Listed(some), labels=[], train=some)
    for index in batches:
        task.update(Saying(said), batch_of(some, index), None)
    return {(r.group, r.metric): r for r in task.compute()}


@pytest.fixture
def some(clips: list[Clip]) -> list[Sample]:
    return list(samples([Chosen("test", i, i, clip) for i, clip in enumerate(clips[:24])], Settings()))


def whole(some: list[Sample]) -> list[list[int]]:
    return [list(range(len(some)))]


def test_any_wording_of_the_right_meaning_is_right(clips: list[Clip], some: list[Sample]) -> None:
    for way in (0, 5, 33):
        said = {f"clips/test/{i:06d}": say(Meaning.parse(meaning(c)), way) for i, c in enumerate(clips[:24])}
        found = evaluate(ToldTask(), some, said, whole(some))
        assert all(found["all", m].value == 1 for m in ("right caption", "right event", "readable"))
        assert found["all", "right caption"].n == 24


def test_a_wrong_turn_spoils_the_caption_and_not_the_event_and_nonsense_spoils_both(
    clips: list[Clip], some: list[Sample]
) -> None:
    said = {}
    for i, clip in enumerate(clips[:24]):
        true = Meaning.parse(meaning(clip))
        turned = Meaning(true.verb, true.thing, true.beside, "" if true.turn else "left")
        text = [say(true, 3), say(turned, 3), "the agent agent", "the agent opens the red door, turning up"][
            i % 4
        ]
        said[f"clips/test/{i:06d}"] = text
    task = ToldTask()
    found = evaluate(task, some, said, whole(some))
    assert found["all", "right caption"].value == pytest.approx(0.25)
    assert found["all", "right event"].value == pytest.approx(0.5)
    assert found["all", "readable"].value == pytest.approx(0.5)
    by_verb = [r for (group, metric), r in found.items() if metric == "right caption" and group != "all"]
    assert sum(r.n for r in by_verb) == 24
    assert sum(r.n * r.value for r in by_verb) == pytest.approx(6)
    assert task.outcomes()["right event"]["test/000001/caption"] == 1
    assert {e.predicted for e in task.examples()} <= set(said.values())


def test_batching_and_repeated_samples_change_nothing(clips: list[Clip], some: list[Sample]) -> None:
    said = {f"clips/test/{i:06d}": say(Meaning.parse(meaning(clips[i // 2])), 1) for i in range(24)}
    once = evaluate(ToldTask(), some, said, whole(some))
    order = list(range(len(some)))[::-1]
    repeated = [[0, 0, 1], *([i, 0] for i in order)]
    assert evaluate(ToldTask(), some, said, repeated) == once
    assert 0 < once["all", "right caption"].value < 1


def test_the_majority_baseline_is_the_share_of_the_most_frequent_meaning(some: list[Sample]) -> None:
    said = {s.media: "nothing" for s in some}
    groups = [s.group for s in some if s.id.endswith("/caption")]
    most = max(groups.count(g) for g in groups)
    found = evaluate(ToldTask(), some, said, whole(some))
    assert found["all", "right caption"].baselines["majority"] == pytest.approx(most / len(groups))
    assert found["all", "readable"].value == 0


def test_samples_of_other_data_are_passed_over_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    other = [
        Sample(id="a", media="a.mp4", target="a man opens a door", group="open|a"),
        Sample(id="b", media="b.mp4", target="a man waits"),
        Sample(id="c", media="c.mp4", target="the agent walks", group="background|walk"),
    ]
    with caplog.at_level(logging.WARNING):
        assert evaluate(ToldTask(), other, {}, [[0, 1, 2]]) == {}
    assert "babyai_told: no sample of 'test' is a captioned clip of BabyAI" in caplog.text
