"""Open-vocabulary classification against a slow loop and counts made by hand."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.sample import Sample
from jepa_vl.tasks.classification import ClassificationTask

VERBS, COLOURS = ("open", "pick up", "drop"), ("red", "blue")
LABELS = [f"{verb} the {colour} ball" for verb in VERBS for colour in COLOURS] + ["wait"]
ATTRIBUTES = {"verb": "^(open|pick up|drop)", "colour": "red|blue"}


def sample(i: int, label: str | None) -> Sample:
    return Sample(id=f"s{i:02}", media=f"{i}.mp4", target="caption", label=label, episode=f"e{i // 3}")


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: 21 labels of unequal frequency, three without."""
    labels = [LABELS[min(i // 2, 6) if i < 14 else 6] for i in range(21)]
    return [sample(i, labels[i] if i < 21 else None) for i in range(24)]


def truth(samples: list[Sample]) -> list[str]:
    return [str(s.label) for s in samples if s.label is not None]


def answers(made: Any, samples: list[Sample]) -> list[list[str]]:
    """Labels of each labelled sample, best first."""
    found = []
    for s in samples:
        if s.label is not None:
            likeness = {
                label: float(normalize(made.text[label], dim=0) @ normalize(made.video[s.id], dim=0))
                for label in LABELS
            }
            found.append(sorted(LABELS, key=lambda label: -likeness[label]))
    return found


def test_equals_a_slow_loop(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = objective(samples, LABELS, EMBED)
    found = rows(run(ClassificationTask(), made, samples, labels=LABELS))
    right, said = truth(samples), answers(made, samples)
    assert found["all", "top-1"].value == pytest.approx(
        sum(r == a[0] for r, a in zip(right, said, strict=True)) / 21
    )
    assert found["all", "top-5"].value == pytest.approx(
        sum(r in a[:5] for r, a in zip(right, said, strict=True)) / 21
    )
    per_class = defaultdict(list)
    for r, a in zip(right, said, strict=True):
        per_class[r].append(r == a[0])
    mean = sum(sum(c) / len(c) for c in per_class.values()) / len(per_class)
    assert found["all", "mean per class"].value == pytest.approx(mean)
    assert all(row.n == 21 for row in found.values())
    assert found["all", "top-1"].chance == pytest.approx(1 / 7)
    assert found["all", "top-5"].chance == pytest.approx(5 / 7)


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, LABELS, EMBED)
    task = ClassificationTask(attributes=ATTRIBUTES)
    assert run(task, made, samples, batches=batching, labels=LABELS) == run(
        ClassificationTask(attributes=ATTRIBUTES), made, samples, labels=LABELS
    )


def test_an_objective_that_only_scores_gets_the_same_rows(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    ways = [
        run(ClassificationTask(attributes=ATTRIBUTES), objective(samples, LABELS, a), samples, labels=LABELS)
        for a in (EMBED, SCORE)
    ]
    assert ways[0] == ways[1]


def test_class_texts_are_embedded_once(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, LABELS, EMBED)
    run(ClassificationTask(), made, samples, batches=[[0, 1], [2, 3], [4]], labels=LABELS)
    assert made.embedded == LABELS


def test_templates_are_averaged(objective: Any, run: Any) -> None:
    samples = [sample(0, "cat"), sample(1, "dog")]
    texts = ["a cat", "my cat", "a dog", "my dog"]
    made = objective(samples, texts, EMBED)
    x, y = torch.eye(16)[:2]
    # by its first text alone each class would win the other's sample
    made.text = {"a cat": y, "my cat": x * 3 - y, "a dog": x, "my dog": y * 3 - x}
    made.text = {k: normalize(v, dim=0) for k, v in made.text.items()}
    made.video = {
        "s00": made.text["a cat"] + made.text["my cat"],
        "s01": made.text["a dog"] + made.text["my dog"],
    }
    task = ClassificationTask(templates=["a {}", "my {}"])
    assert run(task, made, samples, labels=["cat", "dog"])[0].value == 1
    alone = ClassificationTask(templates=["a {}"])
    assert run(alone, made, samples, labels=["cat", "dog"])[0].value == 0


def test_parts_of_a_wrong_label_can_be_right(objective: Any, run: Any, rows: Any) -> None:
    samples = [sample(0, "open the red ball"), sample(1, "drop the blue ball"), sample(2, "wait")]
    made = objective(samples, LABELS, EMBED)
    made.video = {
        "s00": made.text["open the blue ball"],
        "s01": made.text["pick up the blue ball"],
        "s02": made.text["wait"],
    }
    task = ClassificationTask(attributes=ATTRIBUTES)
    found = rows(run(task, made, samples, labels=LABELS))
    assert found["all", "top-1"].value == pytest.approx(1 / 3)
    assert found["verb", "accuracy"].value == 0.5
    assert found["colour", "accuracy"].value == 0.5
    assert found["verb", "accuracy"].n == 2  # 'wait' has no verb of these
    assert found["verb", "accuracy"].chance == pytest.approx(2 / 7)
    assert found["colour", "accuracy"].chance == pytest.approx(3 / 7)


def test_the_majority_baseline_counts_training_labels(objective: Any, run: Any, rows: Any) -> None:
    samples = [sample(i, label) for i, label in enumerate(["wait", "wait", LABELS[0], LABELS[1]])]
    train = [sample(90 + i, label) for i, label in enumerate([LABELS[1], LABELS[1], "wait", None])]
    made = objective(samples, LABELS, EMBED)
    task = ClassificationTask(attributes={"verb": "^(open|drop)"})
    found = rows(run(task, made, samples, labels=LABELS, train=train))
    assert found["all", "top-1"].baselines == {"majority": 0.25}
    assert found["verb", "accuracy"].baselines == {"majority": 1.0}
    assert rows(run(task, made, samples, labels=LABELS))["all", "top-1"].baselines == {}


def test_a_collapsed_model_is_not_rewarded(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, LABELS, EMBED)
    made.text = dict.fromkeys(made.text, torch.ones(16))
    assert run(ClassificationTask(), made, samples, labels=LABELS)[0].value == 0


def test_examples_name_the_predicted_class(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, LABELS, EMBED)
    task = ClassificationTask()
    run(task, made, samples, labels=LABELS)
    said = answers(made, samples)
    assert [e.predicted for e in task.examples(21)] == [a[0] for a in said]
    assert [e.expected for e in task.examples(21)] == truth(samples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"templates": ["a photo"]}, "'a photo' has no {} for the class name"),
        ({"templates": []}, "expected at least one"),
        ({"attributes": {"verb": "(open"}}, r"attributes.verb: '\(open' is not a regular expression"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ClassificationTask(**arguments)
