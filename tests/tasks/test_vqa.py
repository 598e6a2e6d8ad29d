"""Discriminative VQA against counts made by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.sample import Sample
from jepa_vl.tasks.vqa import VQATask

YES_NO, DIGITS = ("yes", "no"), ("one", "two", "three", "four")


def question(i: int, query: str, candidates: tuple[str, ...] | None, answer: str, kind: str | None) -> Sample:
    return Sample(
        id=f"s{i:02}",
        media=f"{i // 4}.mp4",
        query=query,
        target=answer,
        candidates=candidates,
        kind=kind,
        episode=f"e{i // 4}",
    )


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: presence of two kinds, counts, and captions in between."""
    found = []
    for i in range(24):
        match i % 4:
            case 0:
                found.append(question(i, "a box?", YES_NO, YES_NO[i % 3 % 2], "presence/random"))
            case 1:
                found.append(question(i, "a ball?", YES_NO, YES_NO[i % 2], "presence/popular"))
            case 2:
                found.append(question(i, "how many?", DIGITS, DIGITS[i % 3], "count"))
            case _:
                found.append(question(i, "", None, "a caption", None))
    return found


def right(made: Any, sample: Sample) -> bool:
    likeness = {
        c: float(torch.cosine_similarity(made.text[c], made.video[sample.id], dim=0))
        for c in sample.candidates or ()
    }
    return max(likeness, key=lambda c: likeness[c]) == sample.target


def test_equals_a_slow_loop_for_every_kind(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    found = rows(run(VQATask(), made, samples))
    kinds = {
        "all": lambda s: s.candidates is not None,
        "presence": lambda s: (s.kind or "").startswith("presence"),
        "presence/random": lambda s: s.kind == "presence/random",
        "presence/popular": lambda s: s.kind == "presence/popular",
        "count": lambda s: s.kind == "count",
    }
    assert {group for group, metric in found if metric == "accuracy"} == set(kinds)
    for kind, belongs in kinds.items():
        of = [s for s in samples if belongs(s)]
        assert found[kind, "accuracy"].value == pytest.approx(sum(right(made, s) for s in of) / len(of))
        assert found[kind, "accuracy"].n == len(of)
    assert found["all", "accuracy"].chance == pytest.approx((12 * 0.5 + 6 * 0.25) / 18)
    assert found["count", "accuracy"].chance == pytest.approx(0.25)


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    assert run(VQATask(), made, samples, batches=batching) == run(VQATask(), made, samples)


def test_an_objective_that_only_scores_gets_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    texts = [*YES_NO, *DIGITS]
    embedding, scoring = (objective(samples, texts, ability) for ability in (EMBED, SCORE))
    assert run(VQATask(), embedding, samples) == run(VQATask(), scoring, samples, batches=batching)


def test_answers_are_embedded_once(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    run(VQATask(), made, samples, batches=[[0, 1], [2], [4, 5, 6]])
    assert sorted(made.embedded) == sorted([*YES_NO, "one", "two", "three", "four"])


def test_candidates_that_tie_share_the_point(objective: Any, run: Any, rows: Any) -> None:
    samples = [question(i, "how many?", DIGITS, DIGITS[i % 4], "count") for i in range(8)]
    made = objective(samples, DIGITS, EMBED)
    made.text = dict.fromkeys(DIGITS, torch.ones(16))
    assert rows(run(VQATask(), made, samples))["all", "accuracy"].value == 0.25


def test_the_blind_baseline_answers_by_question_then_kind_then_anything(
    objective: Any, run: Any, rows: Any
) -> None:
    train = [
        *[question(50 + i, "how many?", DIGITS, "two", "count") for i in range(3)],
        question(60, "how many boxes?", DIGITS, "three", "count"),
        *[question(70 + i, "a box?", YES_NO, "yes", "presence") for i in range(2)],
    ]
    asked = [
        (question(0, "how many?", DIGITS, "two", "count"), 1.0),
        (question(1, "how many boxes?", DIGITS, "two", "count"), 0.0),  # says three
        (question(2, "how many keys?", DIGITS, "two", "count"), 1.0),  # by kind
        (question(3, "is it?", YES_NO, "yes", "other"), 1.0),  # by anything: yes, though two is more frequent
        (question(4, "how many?", ("one", "four"), "four", "count"), 0.0),  # nothing fits: the first
    ]
    for sample, expected in asked:
        made = objective([sample], [*YES_NO, *DIGITS], EMBED)
        row = rows(run(VQATask(), made, [sample], train=train))["all", "accuracy"]
        assert row.baselines == {"question only": expected}, sample


def test_without_training_questions_there_is_no_baseline(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    assert run(VQATask(), made, samples)[0].baselines == {}


def test_always_yes_shows_in_the_share_of_yes(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    made.video = dict.fromkeys(made.video, made.text["yes"])
    found = rows(run(VQATask(), made, samples))
    assert found["presence", "yes share"].value == 1
    truth = [s.target == "yes" for s in samples if s.candidates == YES_NO]
    assert found["presence", "yes share"].chance == pytest.approx(sum(truth) / len(truth))
    assert ("count", "yes share") not in found


def test_examples_carry_the_question_and_the_score(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    task = VQATask()
    run(task, made, samples)
    for example in task.examples(18):
        assert example.expected == example.sample.target
        assert (example.predicted == example.expected) == right(made, example.sample)
        assert example.score is not None


@pytest.mark.parametrize("ability", [EMBED, SCORE])
def test_samples_without_candidates_are_passed_over(ability: str, objective: Any, run: Any) -> None:
    captions = [question(0, "", None, "a caption", None)]
    assert run(VQATask(), objective(captions, ["x"], ability), captions) == []


def test_a_kind_with_one_finer_kind_is_not_reported_twice(objective: Any, run: Any, rows: Any) -> None:
    samples = [question(i, "a box?", YES_NO, "yes", "presence/random") for i in range(4)]
    found = rows(run(VQATask(), objective(samples, YES_NO, EMBED), samples))
    assert {group for group, _ in found} == {"all", "presence/random"}
