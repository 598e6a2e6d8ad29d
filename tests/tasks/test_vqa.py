"""Discriminative VQA against counts made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.sample import Batch, Sample
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


def test_shared_candidates_are_one_list_for_the_objective(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    """An objective scores one and the same list once for all samples that share it."""
    made = objective(samples, [*YES_NO, *DIGITS], SCORE)
    seen: list[Sequence[Sequence[str]]] = []
    score = made.score

    def watched(batch: Batch, candidates: Sequence[Sequence[str]]) -> list[torch.Tensor]:
        seen.append(candidates)
        return score(batch, candidates)

    made.score = watched
    run(VQATask(), made, samples)
    assert len({id(texts) for texts in seen[0]}) == 2
    assert all(
        texts == list(s.candidates or ())
        for texts, s in zip(seen[0], (s for s in samples if s.query), strict=True)
    )


def test_a_long_shared_list_is_compared_in_one_product(objective: Any, run: Any) -> None:
    texts = tuple(f"answer {i}" for i in range(500))
    samples = [question(i, "what?", texts, texts[7 * i], "gqa") for i in range(24)]
    made = objective(samples, texts, EMBED)
    products = []

    class Counting(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.Tensor.matmul, torch.Tensor.__matmul__):
                products.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    embed = made.embed_text
    made.embed_text = lambda texts: embed(texts).as_subclass(Counting)
    value = run(VQATask(), made, samples)[0].value
    assert value == pytest.approx(sum(right(made, s) for s in samples) / 24)
    assert len(products) == 1


def test_a_candidate_that_is_given_twice_is_one_answer(objective: Any, run: Any) -> None:
    samples = [question(0, "a box?", ("no", "yes", "yes"), "yes", None)]
    made = objective(samples, YES_NO, EMBED)
    made.video = {"s00": made.text["yes"]}
    row = run(VQATask(), made, samples)[0]
    assert (row.value, row.chance) == (1, 0.5)


def test_candidates_that_tie_share_the_point(objective: Any, run: Any, rows: Any) -> None:
    samples = [question(i, "how many?", DIGITS, DIGITS[i % 4], "count") for i in range(8)]
    made = objective(samples, DIGITS, EMBED)
    made.text = dict.fromkeys(DIGITS, torch.ones(16))
    assert rows(run(VQATask(), made, samples))["all", "accuracy"].value == 0.25


def test_answers_of_which_none_can_be_said_tie_among_themselves_beside_a_longer_list(
    objective: Any, run: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [
        question(0, "a box?", YES_NO, "yes", "presence"),
        question(1, "how many?", DIGITS, "one", "count"),
    ]
    made = objective(samples, [*YES_NO, *DIGITS], SCORE)
    monkeypatch.setattr(made, "score", lambda _, each: [torch.full((len(c),), -torch.inf) for c in each])
    found = rows(run(VQATask(), made, samples))
    assert (found["presence", "accuracy"].value, found["count", "accuracy"].value) == (0.5, 0.25)


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


def pope(name: str = "pope/") -> list[Sample]:
    """30 samples, 10 a split but 8 of adversarial; yes is right for every second."""
    splits = [split for split in ("random", "popular", "adversarial") for _ in range(10)]
    return [question(i, "a dog?", YES_NO, YES_NO[i % 2], name + split) for i, split in enumerate(splits)][:28]


def said(made: Any, s: Sample) -> str:
    return s.target if right(made, s) else YES_NO[1 - YES_NO.index(s.target)]


@pytest.mark.parametrize("prefix", ["pope/", "", "a/b/"])
def test_every_split_of_pope_is_counted_as_scikit_learn_does(
    prefix: str, objective: Any, run: Any, rows: Any
) -> None:
    samples = pope(prefix)
    made = objective(samples, YES_NO, EMBED)
    found = rows(run(VQATask(), made, samples))
    accuracies, f1s = [], []
    for split in ("random", "popular", "adversarial"):
        of = [s for s in samples if (s.kind or "").endswith(split)]
        truth = [s.target == "yes" for s in of]
        answers = [said(made, s) == "yes" for s in of]
        precision, recall, f1, _ = precision_recall_fscore_support(truth, answers, average="binary")
        group = prefix + split
        assert found[group, "precision"].value == pytest.approx(precision)
        assert found[group, "recall"].value == pytest.approx(recall)
        assert found[group, "F1"].value == pytest.approx(f1)
        assert found[group, "yes share"].value == pytest.approx(sum(answers) / len(of))
        assert {found[group, m].n for m in ("accuracy", "precision", "recall", "F1")} == {len(of)}
        accuracies.append(accuracy_score(truth, answers))
        f1s.append(f1)
    whole = prefix.strip("/") or "all"
    assert found[whole, "mean accuracy of splits"].value == pytest.approx(sum(accuracies) / 3)
    assert found[whole, "mean F1 of splits"].value == pytest.approx(sum(f1s) / 3)
    row = found[whole, "mean F1 of splits"]
    assert row.low <= row.value <= row.high
    assert row.note == "each split counts the same: adversarial, popular, random"


def test_never_saying_yes_has_no_precision_and_no_warning(objective: Any, run: Any, rows: Any) -> None:
    samples = pope()
    made = objective(samples, YES_NO, EMBED)
    made.video = dict.fromkeys(made.video, made.text["no"])
    found = rows(run(VQATask(), made, samples))
    for metric in ("precision", "recall", "F1", "yes share"):
        assert found["pope/random", metric].value == 0


def test_an_even_guess_is_at_chance(objective: Any, run: Any, rows: Any) -> None:
    samples = [question(i, "a dog?", YES_NO, YES_NO[min(i % 4, 1)], "pope/random") for i in range(400)]
    made = objective(samples, YES_NO, EMBED)
    made.video = {s.id: made.text[YES_NO[i // 4 % 2]] for i, s in enumerate(samples)}
    found = rows(run(VQATask(), made, samples))
    for metric in ("precision", "recall", "F1"):
        assert found["pope/random", metric].value == pytest.approx(found["pope/random", metric].chance)


def test_other_kinds_have_accuracy_alone(objective: Any, run: Any, rows: Any) -> None:
    kinds = ("tallyqa/simple", "gqa", "clevr/exist")
    samples = [
        question(i, "?", YES_NO if i % 3 == 2 else DIGITS, "yes" if i % 3 == 2 else "two", kinds[i % 3])
        for i in range(12)
    ]
    found = rows(run(VQATask(), objective(samples, [*YES_NO, *DIGITS], EMBED), samples))
    assert {m for g, m in found if g != "clevr/exist"} == {"accuracy"}
    assert {m for g, m in found if g == "clevr/exist"} == {"accuracy", "yes share"}


def test_tallyqa_is_weighted_by_the_number_of_questions(objective: Any, run: Any, rows: Any) -> None:
    numbers = tuple(str(i) for i in range(16))
    samples = [
        question(i, "how many?", numbers, numbers[i % 16], "tallyqa/simple" if i < 18 else "tallyqa/complex")
        for i in range(24)
    ]
    made = objective(samples, numbers, EMBED)
    made.video = {s.id: made.text[s.target if i < 18 else "0"] for i, s in enumerate(samples)}
    found = rows(run(VQATask(), made, samples))
    assert found["tallyqa/simple", "accuracy"].value == 1
    complex_ = found["tallyqa/complex", "accuracy"]
    assert (complex_.value, complex_.n) == (0, 6)
    assert found["all", "accuracy"].value == (18 * 1 + 6 * 0) / 24
    both = [*samples, question(24, "?", numbers, "3", "gqa")]
    made = objective(both, numbers, EMBED)
    made.video = {s.id: made.text[s.target if i < 18 else "0"] for i, s in enumerate(both)}
    assert rows(run(VQATask(), made, both))["tallyqa", "accuracy"].value == 18 / 24


@pytest.mark.parametrize("ability", [EMBED, SCORE])
def test_outcomes_average_to_the_accuracy(
    ability: str, samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    task = VQATask()
    made = objective(samples, [*YES_NO, *DIGITS], ability)
    row = run(task, made, samples, batches=batching)[0]
    points = task.outcomes()["accuracy"]
    assert set(points) == {s.id for s in samples if s.candidates}
    assert sum(points.values()) / len(points) == pytest.approx(row.value)


def test_texts_that_are_cut_off_are_counted_in_a_warning(
    samples: list[Sample], objective: Any, caplog: pytest.LogCaptureFixture, run: Any
) -> None:
    made = objective(samples, [*YES_NO, *DIGITS], EMBED)
    embed = made.embed_video

    def long(batch: Batch) -> torch.Tensor:
        batch.query = replace(batch.query, truncated=2)
        return embed(batch)

    made.embed_video = long
    run(VQATask(), made, samples, batches=[range(8), range(8, 16), [19]])
    assert "vqa: 4 texts of the batches with questions are longer than the context" in caplog.text


def test_hard_negatives_are_no_questions(objective: Any, run: Any) -> None:
    known = question(0, "", YES_NO, "yes", None).model_copy(update={"paraphrase": "y", "negative": "no"})
    assert run(VQATask(), objective([known], YES_NO, EMBED), [known]) == []


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
