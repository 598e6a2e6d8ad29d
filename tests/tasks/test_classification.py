"""Open-vocabulary classification against a slow loop and counts made by hand."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

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
    task = ClassificationTask(templates=("a {}", "my {}"))
    assert run(task, made, samples, labels=["cat", "dog"])[0].value == 1
    alone = ClassificationTask(templates=("a {}",))
    assert run(alone, made, samples, labels=["cat", "dog"])[0].value == 0


def test_the_best_template_counts_with_max(objective: Any, run: Any) -> None:
    samples = [sample(0, "cat"), sample(1, "dog")]
    made = objective(samples, [], EMBED)
    x, y, z = torch.eye(16)[:3]
    made.text = {"a cat": x, "my cat": -x, "a dog": y, "my dog": normalize(x + y + z, dim=0)}
    made.video = {"s00": x, "s01": normalize(y + z, dim=0)}
    values = {
        ensemble: run(
            ClassificationTask(templates=("a {}", "my {}"), ensemble=ensemble),
            made,
            samples,
            labels=["cat", "dog"],
        )[0].value
        for ensemble in ("mean", "max")
    }
    # the two cat texts cancel out in the mean, and the cat loses to the dog
    assert values == {"mean": 0.5, "max": 1.0}


@pytest.mark.parametrize("ability", [EMBED, SCORE])
@pytest.mark.parametrize("ensemble", ["mean", "max"])
def test_a_template_that_says_the_same_changes_nothing(
    ability: str, ensemble: Literal["mean", "max"], samples: list[Sample], objective: Any, run: Any
) -> None:
    twice = [f"{label} again" for label in LABELS]
    made = objective(samples, LABELS, ability)
    made.text |= {again: made.text[label] for again, label in zip(twice, LABELS, strict=True)}
    task = ClassificationTask(templates=("{}", "{} again"), ensemble=ensemble)
    assert run(task, made, samples, labels=LABELS) == run(ClassificationTask(), made, samples, labels=LABELS)


def test_scores_are_averaged_over_templates_without_embeddings(objective: Any, run: Any) -> None:
    """Mean scores are another ensemble than the mean embedding, which is made a unit vector again."""
    samples = [sample(0, "cat"), sample(1, "dog")]
    made = objective(samples, [], SCORE)
    x, y, z = torch.eye(16)[:3]
    made.text = {"a cat": x, "my cat": normalize(0.9 * y - x, dim=0), "a dog": z, "my dog": z}
    made.video = {"s00": normalize(y + 0.3 * z, dim=0), "s01": z}
    task = ClassificationTask(templates=("a {}", "my {}"))
    scores = {
        c: [float(made.video["s00"] @ made.text[f"{t} {c}"]) for t in ("a", "my")] for c in ("cat", "dog")
    }
    assert sum(scores["cat"]) > sum(scores["dog"])
    assert run(task, made, samples, labels=["cat", "dog"])[0].value == 1


def test_classes_can_be_more_than_the_data_show(objective: Any, run: Any) -> None:
    samples = [sample(0, "cat"), sample(1, "dog")]
    made = objective(samples, ["cat", "dog", "cow", "owl"], EMBED)
    made.video = {"s00": made.text["cat"], "s01": made.text["owl"]}
    task = ClassificationTask(labels=["cat", "dog", "cow", "owl"])
    row = run(task, made, samples, labels=["cat", "dog"])[0]
    assert (row.value, row.chance, row.note) == (0.5, 0.25, "4 classes")
    assert task.options()["labels"] == ["cat", "dog", "cow", "owl"]


def test_a_file_of_class_names_in_any_language(tmp_path: Path, objective: Any, run: Any) -> None:
    names = ["猫", "собака", "chien à poils longs", "قطة"]
    file = tmp_path / "names.txt"
    file.write_text("\ufeff" + "\r\n".join([names[0], "", f"  {names[1]} ", *names[2:]]), encoding="utf-8")
    samples = [sample(i, name) for i, name in enumerate(names)]
    made = objective(samples, names, EMBED)
    made.video = {s.id: made.text[str(s.label)] for s in samples}
    task = ClassificationTask(labels=str(file))
    assert run(task, made, samples)[0].value == 1
    assert task.labels == names


def test_a_duplicate_in_a_file_names_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("cat\n\ndog\ncat\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"names.txt, line 4: 'cat' stands in line 1 already"):
        ClassificationTask(labels=str(file))


def test_a_file_of_class_names_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    with pytest.raises(RecipeError, match=r"cannot read '.*names.txt' \(No such file"):
        ClassificationTask(labels=str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"cannot read '.*names.txt' \(it is not UTF-8 text\)"):
        ClassificationTask(labels=str(file))


def test_a_sample_of_an_unknown_class_is_named(objective: Any, run: Any) -> None:
    samples = [sample(0, "cat"), sample(1, "dogs")]
    made = objective(samples, ["cat", "dog"], EMBED)
    message = r"the label 'dogs' of the sample 's01' is not among the 2 class names; did you mean 'dog'\?"
    with pytest.raises(RecipeError, match=message):
        run(ClassificationTask(labels=["cat", "dog"]), made, samples)


def test_what_comes_next_is_left_to_anticipation(objective: Any, run: Any, rows: Any) -> None:
    samples = [sample(0, "cat"), sample(1, "dog")]
    later = [
        Sample(id=f"s{i:02}", media="a.mp4", target="dog", label="dog", kind=kind)
        for i, kind in ((2, "anticipation"), (3, "anticipation/1s"))
    ]
    made = objective([*samples, *later], ["cat", "dog"], EMBED)
    row = rows(run(ClassificationTask(), made, [*samples, *later], labels=["cat", "dog"], train=later))
    assert row["all", "top-1"].n == 2
    assert row["all", "top-1"].baselines == {}


@pytest.mark.parametrize("ability", [EMBED, SCORE])
def test_outcomes_average_to_the_rows(
    ability: str, samples: list[Sample], objective: Any, run: Any, rows: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, LABELS, ability)
    task = ClassificationTask(attributes=ATTRIBUTES)
    found = rows(run(task, made, samples, batches=batching, labels=LABELS))
    outcomes = task.outcomes()
    names = {"top-1": ("all", "top-1"), "top-5": ("all", "top-5")}
    names |= {f"{part}/accuracy": (part, "accuracy") for part in ATTRIBUTES}
    assert set(outcomes) == set(names)
    for name, key in names.items():
        assert len(outcomes[name]) == found[key].n
        assert sum(outcomes[name].values()) / found[key].n == pytest.approx(found[key].value)
    assert set(outcomes["top-1"]) == {s.id for s in samples if s.label is not None}


def test_every_class_has_a_row_when_asked(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = objective(samples, LABELS, EMBED)
    found = rows(run(ClassificationTask(per_class=True), made, samples, labels=LABELS))
    right, said = truth(samples), answers(made, samples)
    for label in LABELS:
        hits = [a[0] == label for r, a in zip(right, said, strict=True) if r == label]
        row = found[f"class {label}", "accuracy"]
        assert (row.value, row.n) == (pytest.approx(sum(hits) / len(hits)), len(hits))
    assert not any(
        g.startswith("class") for g, _ in rows(run(ClassificationTask(), made, samples, labels=LABELS))
    )


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
        ({"templates": ["a {}", "a {}"]}, r"'a \{\}' occurs twice"),
        ({"labels": ["cat", "dog", "cat "]}, "entry 3: 'cat' stands in entry 1 already"),
        ({"labels": ["cat", " "]}, "entry 2: a class name is blank"),
        ({"labels": ["cat"]}, "found 1 class names; expected two or more"),
        ({"attributes": {"verb": "(open"}}, r"attributes.verb: '\(open' is not a regular expression"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ClassificationTask(**arguments)
