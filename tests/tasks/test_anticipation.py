"""Anticipation against a slow loop and counts made by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.sample import Sample
from jepa_vl.tasks.anticipation import AnticipationTask

LABELS = [f"action {i}" for i in range(9)]


def sample(i: int, label: str, kind: str | None = "anticipation/1s") -> Sample:
    return Sample(id=f"s{i:02}", media=f"{i}.mp4", target=label, label=label, kind=kind, episode=f"e{i // 3}")


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: 12 and 8 of two kinds, classes of unequal frequency, and four that are no anticipation."""
    kinds = ["anticipation/1s"] * 12 + ["anticipation/next step"] * 8 + [None, "classes", "anticipations", ""]
    return [sample(i, LABELS[i * i % 9], kind) for i, kind in enumerate(kinds)]


def best_first(made: Any, s: Sample) -> list[str]:
    video = normalize(made.video[s.id], dim=0)
    return sorted(LABELS, key=lambda label: -float(normalize(made.text[label], dim=0) @ video))


@pytest.mark.parametrize(
    ("group", "where"), [("all", slice(0, 20)), ("1s", slice(0, 12)), ("next step", slice(12, 20))]
)
def test_equals_a_slow_loop(
    samples: list[Sample], objective: Any, run: Any, rows: Any, group: str, where: slice
) -> None:
    made = objective(samples, LABELS, EMBED)
    task = AnticipationTask()
    found = rows(run(task, made, samples, labels=LABELS))
    of_class = defaultdict(list)
    top5, top1 = {}, {}
    for s in samples[where]:
        said = best_first(made, s)
        top5[s.id], top1[s.id] = float(s.label in said[:5]), float(s.label == said[0])
        of_class[s.label].append(top5[s.id])
    class_mean = sum(sum(c) / len(c) for c in of_class.values()) / len(of_class)
    assert found[group, "class-mean recall@5"].value == pytest.approx(class_mean)
    assert found[group, "recall@5"].value == pytest.approx(sum(top5.values()) / len(top5))
    assert found[group, "top-1"].value == pytest.approx(sum(top1.values()) / len(top1))
    assert {found[group, m].n for _, m in found} == {len(top5)}
    assert found[group, "class-mean recall@5"].chance == pytest.approx(5 / 9)
    assert found[group, "top-1"].chance == pytest.approx(1 / 9)
    if group == "all":
        assert task.outcomes() == {"recall@5": top5, "top-1": top1}


def test_the_headline_is_epic_kitchens_metric(samples: list[Sample], objective: Any, run: Any) -> None:
    first = run(AnticipationTask(), objective(samples, LABELS, EMBED), samples, labels=LABELS)[0]
    assert (first.metric, first.group) == ("class-mean recall@5", "all")


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, LABELS, EMBED)
    assert run(AnticipationTask(), made, samples, batches=batching, labels=LABELS) == run(
        AnticipationTask(), made, samples, labels=LABELS
    )


def test_an_objective_that_only_scores_gets_the_same_rows(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    embedded, scored = (
        run(AnticipationTask(), objective(samples, LABELS, a), samples, labels=LABELS) for a in (EMBED, SCORE)
    )
    assert embedded == scored


def test_class_texts_are_put_in_templates_and_embedded_once(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    texts = [t.replace("{}", label) for label in LABELS for t in ("next: {}", "then {}")]
    made = objective(samples, texts, EMBED)
    task = AnticipationTask(templates=("next: {}", "then {}"))
    run(task, made, samples, batches=[[i] for i in range(24)], labels=LABELS)
    assert made.embedded == texts


def test_the_majority_baseline_ranks_by_frequency_in_training_of_the_same_kind(
    objective: Any, run: Any, rows: Any
) -> None:
    train = [sample(50 + i, LABELS[k]) for i, k in enumerate([8] * 6 + [7] * 5 + [6] * 4 + [5] * 3 + [4] * 2)]
    # another kind says something else, and counts for nothing here
    train += [sample(90 + i, LABELS[0], "anticipation/4s") for i in range(9)]
    samples = [sample(i, LABELS[k]) for i, k in enumerate([8, 8, 4, 3])]
    made = objective(samples, LABELS, EMBED)
    found = rows(run(AnticipationTask(), made, samples, labels=LABELS, train=train))
    order = [label for label, _ in Counter(s.label for s in train if s.kind == samples[0].kind).most_common()]
    assert order[:5] == [LABELS[k] for k in (8, 7, 6, 5, 4)]
    assert found["all", "top-1"].baselines == {"majority": 0.5}
    assert found["all", "recall@5"].baselines == {"majority": 0.75}
    assert found["all", "class-mean recall@5"].baselines == {"majority": pytest.approx(2 / 3)}
    assert rows(run(AnticipationTask(), made, samples, labels=LABELS))["all", "top-1"].baselines == {}


def test_fewer_than_five_classes_are_all_recalled(objective: Any, run: Any, rows: Any) -> None:
    samples = [sample(i, LABELS[i]) for i in range(3)]
    found = rows(run(AnticipationTask(), objective(samples, LABELS, EMBED), samples, labels=LABELS[:3]))
    assert (found["all", "recall@5"].value, found["all", "recall@5"].chance) == (1, 1)


def test_a_collapsed_model_is_not_rewarded(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = objective(samples, LABELS, EMBED)
    made.text = dict.fromkeys(LABELS, torch.ones(16))
    assert rows(run(AnticipationTask(), made, samples, labels=LABELS))["all", "top-1"].value == 0


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ((), "anticipation.templates is empty; expected at least one"),
        (("next",), "'next' has no {}"),
        (("then {}", "then {}"), r"anticipation.templates: 'then \{\}' occurs twice"),
    ],
)
def test_wrong_templates_are_named(templates: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AnticipationTask(templates=templates)
