"""World modelling against a slow loop, and on folders of two images."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import write_manifest
from jepa_vl.data.video import uniform_indices
from jepa_vl.errors import ManifestError
from jepa_vl.objectives.base import EMBED, Collator, Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import CHOICE, Batch, Sample, TextTokens
from jepa_vl.tasks.world_model import WorldModelTask
from jepa_vl.vision.base import Preprocessing, VisionEncoder


def question(name: str, choices: list[str], answer: str, **known: Any) -> Sample:
    return Sample(id=name, media=name, target="", choices=tuple(choices), answer=answer, **known)


def clip(name: str) -> Sample:
    return Sample(id=name, media=f"{name}.mp4", target="", kind=CHOICE)


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples, mixed: 12 clips, 8 questions of 3 or 4 of them, and 4 captions."""
    draw = random.Random(0)
    clips = [clip(f"c{i:02}") for i in range(12)]
    asked = []
    for i in range(8):
        choices = [c.id for c in draw.sample(clips, 3 + i % 2)]
        kind, episode = f"k{i % 2}", f"e{i // 2}"
        asked.append(question(f"q{i}", choices, draw.choice(choices), kind=kind, episode=episode))
    told = [Sample(id=f"t{i}", media=f"{i}.mp4", target="a caption") for i in range(4)]
    mixed = clips + asked + told
    draw.shuffle(mixed)
    return mixed


def test_equals_a_slow_loop(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = objective(samples, [], EMBED)
    task = WorldModelTask()
    found = rows(run(task, made, samples, batches=[[i] for i in range(24)]))
    right, chances = {}, []
    for s in samples:
        if s.choices:
            state = normalize(made.video[s.id], dim=0)
            best = max(s.choices, key=lambda c: float(normalize(made.video[c], dim=0) @ state))
            right[s.id] = float(best == s.answer)
            chances.append(1 / len(s.choices))
    row = found["all", "accuracy"]
    assert row.n == 8
    assert row.value == pytest.approx(sum(right.values()) / 8)
    assert row.chance == pytest.approx(sum(chances) / 8) == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert task.outcomes() == {"accuracy": right}
    assert found["k1", "accuracy"].n == 4
    assert found["k1", "accuracy"].chance == 1 / 4


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, [], EMBED)
    assert run(WorldModelTask(), made, samples, batches=batching) == run(WorldModelTask(), made, samples)


def test_choices_of_another_rank_are_found_by_id(samples: list[Sample], objective: Any, run: Any) -> None:
    """What two ranks gather is the rows of each; no question needs its choices on its own rank."""
    made = objective(samples, [], EMBED)
    whole = run(WorldModelTask(), made, samples)
    ranks = [WorldModelTask(), WorldModelTask()]
    for rank, task in enumerate(ranks):
        run(task, made, samples, batches=[range(rank, 24, 2)])
    for column in ("row_index", "vector"):
        getattr(ranks[0], column).extend(getattr(ranks[1], column))
    assert ranks[0].results(*ranks[0].rows()) == whole


def test_a_collapsed_model_is_not_rewarded(samples: list[Sample], objective: Any, run: Any) -> None:
    made = objective(samples, [], EMBED)
    made.video = dict.fromkeys(made.video, torch.ones(16))
    assert run(WorldModelTask(), made, samples)[0].value == 0


def test_the_blind_baseline_gives_every_question_one_state(objective: Any, run: Any) -> None:
    samples = [clip("a"), clip("b"), question("q1", ["a", "b"], "a"), question("q2", ["a", "b"], "b")]
    made = objective(samples, [], EMBED)
    x, y = torch.eye(16)[:2]
    # both questions are right by their own states; the mean state is nearer to a
    made.video = {"a": x, "b": y, "q1": x, "q2": y + 0.7 * x}
    row = run(WorldModelTask(), made, samples)[0]
    assert row.value == 1
    assert row.baselines == {"mean state": 0.5}


def test_a_missing_choice_is_named(objective: Any, run: Any) -> None:
    samples = [clip("clip_1"), question("q", ["clip_1", "clip_2"], "clip_1")]
    with pytest.raises(
        ManifestError, match=r"sample 'q': choice 'clip_2' is not in the set 'test'.*'clip_1'"
    ):
        run(WorldModelTask(), objective(samples, [], EMBED), samples)


def test_questions_whose_clips_were_not_seen_are_left_out_and_counted(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    made = objective(samples, [], EMBED)
    place = {s.id: i for i, s in enumerate(samples)}
    asked = [s for s in samples if s.choices]
    needed = [place[asked[0].id], *(place[c] for c in asked[0].choices or ())]
    row = run(WorldModelTask(), made, samples, batches=[needed])[0]
    seen = set(needed)
    answerable = [s for s in asked if {place[s.id], *(place[c] for c in s.choices or ())} <= seen]
    assert row.n == len(answerable) == 1
    assert row.note == "7 left out: not all of their clips were seen"
    assert run(WorldModelTask(), made, samples, batches=[needed[:1]]) == []


def test_examples_name_the_choice(samples: list[Sample], objective: Any, run: Any) -> None:
    task = WorldModelTask()
    run(task, objective(samples, [], EMBED), samples)
    assert all(e.predicted in (e.sample.choices or ()) for e in task.examples())
    assert all(e.expected == e.sample.answer for e in task.examples())


class Greys(VisionEncoder):
    """Token = mean grey of each of four frames."""

    dim = 1
    grid = (4, 1, 1)
    preprocessing = Preprocessing(size=(8, 8), num_frames=4)

    def forward(self, video: Tensor) -> Tensor:
        return video.float().mean(dim=(2, 3, 4)).unsqueeze(-1) / 255  # [B, T, 1]

    def fingerprint(self) -> str:
        return "greys"


class GreyObjective(Objective):
    """Embeds a clip by its frames' greys."""

    abilities = frozenset({EMBED})

    def __init__(self) -> None:
        super().__init__()
        self.vision_encoder = Greys(frozen=True)

    def collator(self) -> Collator:
        return Collate(query=_no_words, target=_no_words)

    def embed_video(self, batch: Batch) -> Tensor:
        return normalize(self.visual_tokens(batch)[..., 0], dim=-1)


def _no_words(texts: Any) -> TextTokens:
    empty = torch.zeros(len(texts), 0)
    return TextTokens(empty.long(), empty.bool())


def folder(path: Path, greys: list[int]) -> None:
    path.mkdir()
    for i, grey in enumerate(greys):
        Image.fromarray(np.full((8, 8, 3), grey, dtype=np.uint8)).save(path / f"{i}.png")


def test_two_state_images_become_a_clip_of_both_and_match_by_it(tmp_path: Path) -> None:
    assert [uniform_indices(2, t) for t in (2, 4, 8)] == [[0, 1], [0, 0, 1, 1], [0] * 4 + [1] * 4]
    folder(tmp_path / "states", [0, 200])
    folder(tmp_path / "brighter", [0, 60, 140, 200])
    folder(tmp_path / "darker", [200, 140, 60, 0])
    asked = question("q", ["darker", "brighter"], "brighter", split="test").model_copy(
        update={"media": "states"}
    )
    clips = [
        Sample(id=name, media=name, target="", kind=CHOICE, split="test") for name in ("darker", "brighter")
    ]
    write_manifest(tmp_path / "m.jsonl", [asked, *clips])
    objective = GreyObjective()
    data = ManifestData(
        manifest=str(tmp_path / "m.jsonl"),
        batch_size=1,
        val_split=None,
        cache_features=False,
        single_frame_baseline=False,
    )
    data.attach(objective)
    data.setup("test")
    task = WorldModelTask()
    samples = data.sample_set("test")
    assert samples[0].video is not None
    assert samples[0].video[:, 0, 0, 0].tolist() == [0, 0, 200, 200]
    task.bind(samples, labels=[], train=[])
    for batch in data.test_dataloader()[0]:
        task.update(objective, batch, objective.embed_video(batch))
    assert [(row.value, row.n, row.chance) for row in task.compute()] == [(1.0, 1, 0.5)]
