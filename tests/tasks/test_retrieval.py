"""Retrieval against a slow loop, and what must not change it."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
import torch

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.sample import Sample
from jepa_vl.tasks.retrieval import RetrievalTask


def sample(i: int, clip: int, caption: str, **known: Any) -> Sample:
    return Sample(id=f"s{i:02}", media=f"{clip}.mp4", target=caption, **known)


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: 18 captions of 15 clips (captions repeat, clips have several), and 6 questions."""
    draw = random.Random(1)
    captions = [f"caption {draw.randrange(10)}" for _ in range(18)]
    told = [sample(i, draw.randrange(15), caption, episode=f"e{i % 5}") for i, caption in enumerate(captions)]
    asked = [sample(18 + i, i, "yes", query="is there a box?", candidates=("yes", "no")) for i in range(6)]
    return told + asked


def clip_vectors(made: Any, samples: list[Sample]) -> Any:
    """Samples of one clip have one embedding."""
    first = {s.media: made.video[s.id] for s in reversed(samples) if not s.query}
    made.video = {s.id: first[s.media] if not s.query else made.video[s.id] for s in samples}
    return made


def slow_ranks(samples: list[Sample], made: Any) -> tuple[list[int], list[int]]:
    told = [s for s in samples if not s.query]
    texts, clips = {s.target for s in told}, {s.media for s in told}
    pairs = {(s.target, s.media) for s in told}
    fits = {(t, c) for t in texts for c in clips if (t, c) in pairs}
    video = {s.media: made.video[s.id] for s in told}

    def likeness(text: str, clip: str) -> float:
        a, b = made.text[text].double(), video[clip].double()
        return float(a @ b / a.norm() / b.norm())

    t2v, v2t = [], []
    for text in texts:
        best = max(likeness(text, c) for c in clips if (text, c) in fits)
        t2v.append(1 + sum(likeness(text, c) > best for c in clips if (text, c) not in fits))
    for clip in clips:
        best = max(likeness(t, clip) for t in texts if (t, clip) in fits)
        v2t.append(1 + sum(likeness(t, clip) > best for t in texts if (t, clip) not in fits))
    return t2v, v2t


def test_equals_a_slow_loop_over_pairs(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = clip_vectors(objective(samples, [s.target for s in samples], EMBED), samples)
    found = rows(run(RetrievalTask(), made, samples))
    for way, ranks in zip(("text-to-video", "video-to-text"), slow_ranks(samples, made), strict=True):
        for k in (1, 5, 10):
            row = found["all", f"{way} R@{k}"]
            assert row.value == pytest.approx(sum(r <= k for r in ranks) / len(ranks))
            assert row.n == len(ranks)
        assert found["all", f"{way} median rank"].value == median(ranks)
        assert not found["all", f"{way} median rank"].higher_is_better


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = clip_vectors(objective(samples, [s.target for s in samples], EMBED), samples)
    assert run(RetrievalTask(), made, samples, batches=batching) == run(RetrievalTask(), made, samples)


def test_the_headline_comes_first(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, [s.target for s in samples], EMBED)
    first = run(RetrievalTask(), made, samples)[0]
    assert (first.metric, first.group) == ("text-to-video R@1", "all")


def test_a_collapsed_model_is_at_chance_and_not_perfect(run: Any, objective: Any, rows: Any) -> None:
    samples = [sample(i, i, f"caption {i}") for i in range(24)]
    made = objective(samples, [s.target for s in samples], EMBED)
    same = torch.ones(16)
    made.video, made.text = dict.fromkeys(made.video, same), dict.fromkeys(made.text, same)
    found = rows(run(RetrievalTask(), made, samples))
    assert found["all", "text-to-video R@1"].value == 0
    assert found["all", "text-to-video median rank"].value == 12.5
    assert found["all", "text-to-video median rank"].chance == 12.5


def test_a_clip_of_the_same_group_is_a_hit(run: Any, objective: Any, rows: Any) -> None:
    texts = ["a cat runs", "a running cat", "a dog"]
    groups = ["cat", "cat", "dog"]
    samples = [sample(i, i, t, group=g) for i, (t, g) in enumerate(zip(texts, groups, strict=True))]
    made = objective(samples, texts, EMBED)
    one, two, three = torch.eye(16)[:3]
    # each cat caption is nearest to the other cat's clip
    made.text = dict(zip(texts, (one, two, three), strict=True))
    made.video = dict(zip(("s00", "s01", "s02"), (two, one, three), strict=True))
    row = rows(run(RetrievalTask(), made, samples))["all", "text-to-video R@1"]
    assert row.value == 1
    assert row.chance == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_scores_and_embeddings_agree_on_the_smaller_gallery(
    samples: list[Sample], objective: Any, run: Any, rows: Any, batching: list[list[int]]
) -> None:
    texts = [s.target for s in samples]
    embedding = clip_vectors(objective(samples, texts, EMBED), samples)
    scoring = clip_vectors(objective(samples, texts, SCORE), samples)
    by_embedding = rows(run(RetrievalTask(score_gallery=6), embedding, samples))
    by_score = rows(run(RetrievalTask(score_gallery=6), scoring, samples, batches=batching))
    assert set(by_score) == {key for key in by_embedding if key[0] == "gallery 6"}
    for key, row in by_score.items():
        assert row == by_embedding[key]
        assert row.n == 6
    assert by_score["gallery 6", "video-to-text R@1"].chance == pytest.approx(1 / 6)


def test_scores_of_one_caption_are_a_gallery_of_one(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples[:1], [samples[0].target], SCORE)
    found = run(RetrievalTask(), made, samples[:1])
    assert {(row.group, row.value) for row in found if "R@1" in row.metric} == {("gallery 1", 1.0)}


def test_only_the_smaller_gallery_is_scored(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, [s.target for s in samples], SCORE)
    run(RetrievalTask(score_gallery=4), made, samples)
    assert len(made.scored) == 4
    by_id = {s.id: s for s in samples}
    assert len({by_id[i].target for i in made.scored}) == 4
    assert len({by_id[i].media for i in made.scored}) == 4
    assert not any(by_id[i].query for i in made.scored)


def test_the_smaller_gallery_does_not_depend_on_the_order_of_samples(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    chosen = []
    for order in (samples, samples[::-1]):
        made = objective(samples, [s.target for s in samples], SCORE)
        run(RetrievalTask(score_gallery=4), made, order)
        chosen.append(set(made.scored))
    assert chosen[0] == chosen[1]


def test_half_a_pass_counts_what_was_seen(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = clip_vectors(objective(samples, [s.target for s in samples], EMBED), samples)
    found = rows(run(RetrievalTask(), made, samples, batches=[range(8)]))
    assert found["all", "video-to-text R@1"].n == len({s.media for s in samples[:8]})
    assert found["all", "text-to-video R@1"].n == len({s.target for s in samples[:8]})


@pytest.mark.parametrize("ability", [EMBED, SCORE])
def test_an_empty_gallery_is_skipped_and_a_warning_says_so(
    ability: str,
    samples: list[Sample],
    objective: Any,
    run: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    questions = samples[18:]
    made = objective(questions, ["yes"], ability)
    task = RetrievalTask()
    assert run(task, made, questions) == []
    assert task.outcomes() == {}
    assert "the gallery of 'test' is empty and is skipped: none of its 6 samples" in caplog.text
    assert made.embedded == []


def test_clips_and_texts_of_other_tasks_are_left_out(objective: Any, run: Any, rows: Any) -> None:
    told = [sample(i, i, f"caption {i}") for i in range(2)]
    others = [
        Sample(id="w", media="long.mp4", start=0, end=4, target="", kind="window"),
        Sample(id="c", media="c.mp4", target="", kind="choice"),
        Sample(id="m", media="long.mp4", start=1, end=3, target="she opens it", kind="moment"),
        Sample(id="q", media="a.mp4", target="", choices=("c", "w"), answer="c"),
        sample(9, 9, "a cat", paraphrase="one cat", negative="two cats"),
        Sample(id="t", media="", target="a text alone"),
    ]
    made = objective([*told, *others], [s.target for s in told], EMBED)
    found = rows(run(RetrievalTask(), made, [*told, *others]))
    for way in ("text-to-video", "video-to-text"):
        assert found["all", f"{way} R@1"].n == 2
        assert found["all", f"{way} R@1"].note == "2 queries, gallery of 2"


def test_the_best_ranked_caption_of_a_clip_counts(objective: Any, run: Any, rows: Any) -> None:
    """Five captions a clip, of which one is right: enough for video-to-text, a fifth for text-to-video."""
    samples = [sample(5 * clip + i, clip, f"{clip} {i}") for clip in range(4) for i in range(5)]
    made = objective(samples, [s.target for s in samples], EMBED)
    axis = torch.eye(16)
    made.video = {s.id: axis[int(s.media[0])] for s in samples}
    made.text = {
        s.target: axis[int(s.media[0])]
        if s.target.endswith("3")
        else axis[(int(s.media[0]) + 1) % 4] * 0.9 + axis[8 + i % 8] * 0.1
        for i, s in enumerate(samples)
    }
    found = rows(run(RetrievalTask(), made, samples))
    assert found["all", "video-to-text R@1"].value == 1
    assert found["all", "video-to-text R@1"].n == 4
    assert found["all", "text-to-video R@1"].value == 0.2
    assert found["all", "text-to-video R@1"].n == 20


@pytest.mark.parametrize("ability", [EMBED, SCORE])
def test_outcomes_average_to_the_rows(
    ability: str, samples: list[Sample], objective: Any, run: Any, rows: Any, batching: list[list[int]]
) -> None:
    made = clip_vectors(objective(samples, [s.target for s in samples], ability), samples)
    task = RetrievalTask(score_gallery=6)
    found = rows(run(task, made, samples, batches=batching))
    means = {
        metric if group == "all" else f"{group}/{metric}": row
        for (group, metric), row in found.items()
        if "R@" in metric
    }
    assert set(task.outcomes()) == set(means)
    for name, values in task.outcomes().items():
        assert len(values) == means[name].n
        assert sum(values.values()) / len(values) == pytest.approx(means[name].value)


def test_examples_show_the_best_caption_of_a_clip(objective: Any, run: Any) -> None:
    samples = [sample(i, i, f"caption {i}") for i in range(3)]
    made = objective(samples, [s.target for s in samples], EMBED)
    made.video = {s.id: made.text["caption 1"] for s in samples}
    task = RetrievalTask()
    run(task, made, samples)
    assert [(e.predicted, e.expected) for e in task.examples()] == [
        ("caption 1", f"caption {i}") for i in range(3)
    ]


def test_a_gallery_of_one_is_refused() -> None:
    with pytest.raises(RecipeError, match="score_gallery is 1; expected 2 or more"):
        RetrievalTask(score_gallery=1)


def test_an_example_of_a_clip_with_two_captions_expects_the_one_that_was_found(
    objective: Any, run: Any
) -> None:
    samples = [sample(0, 0, "a cat"), sample(1, 0, "an animal"), sample(2, 2, "a dog")]
    made = objective(samples, [s.target for s in samples], EMBED)
    made.video = dict.fromkeys(made.video, made.text["an animal"])
    task = RetrievalTask()
    run(task, made, samples)
    assert [(e.predicted, e.expected) for e in task.examples()] == [
        ("an animal", "an animal"),
        ("an animal", "a dog"),
    ]
