"""Moment retrieval against a slow loop, and in a real video."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import write_manifest
from jepa_vl.data.windows import with_windows
from jepa_vl.errors import ManifestError
from jepa_vl.objectives.base import EMBED, Collator, Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import WINDOW, Batch, Sample, TextTokens
from jepa_vl.tasks.moments import MomentsTask
from jepa_vl.vision.base import Preprocessing, VisionEncoder


def moment(name: str, media: str, start: float, end: float | None, **known: Any) -> Sample:
    return Sample(id=name, media=media, start=start, end=end, target=f"text {name}", kind="moment", **known)


def window(name: str, media: str, start: float, end: float | None) -> Sample:
    return Sample(id=name, media=media, start=start, end=end, target="", kind=WINDOW)


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples, mixed: 14 windows of two videos, 8 moments of two sources, and two captions."""
    draw = random.Random(0)
    found = [window(f"a{t}", "a.mp4", t, t + 8) for t in range(0, 36, 4)]
    found += [window(f"b{t}", "b.mp4", t, t + 8) for t in range(0, 20, 4)]
    for i in range(8):
        start = draw.uniform(0, 20)
        media, source = ("a.mp4", "b.mp4")[i % 2], ("one", "two")[i // 4]
        found.append(moment(f"m{i}", media, start, start + draw.uniform(5, 9), source=source))
    found += [Sample(id=f"t{i}", media="a.mp4", target="a caption") for i in range(2)]
    draw.shuffle(found)
    return found


def texts_of(samples: Sequence[Sample]) -> list[str]:
    return [s.target for s in samples if s.kind == "moment"]


def overlap(a: Sample, b: Sample) -> float:
    (start, end), (left, right) = ((s.start or 0.0, s.end or 0.0) for s in (a, b))
    shared = max(0.0, min(end, right) - max(start, left))
    return shared / (end - start + right - left - shared)


@pytest.mark.parametrize("group", ["all", "two"])
def test_equals_a_slow_loop(samples: list[Sample], objective: Any, run: Any, rows: Any, group: str) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    task = MomentsTask()
    found = rows(run(task, made, samples, batches=[[i] for i in range(24)]))
    moments = [s for s in samples if s.kind == "moment" and group in ("all", s.source)]
    best, limit, chances = {}, {}, {}
    for m in moments:
        text = normalize(made.text[m.target], dim=0)
        gallery = [s for s in samples if s.kind == WINDOW and s.media == m.media]
        gallery.sort(key=lambda s: -float(normalize(made.video[s.id], dim=0) @ text))
        ious = [overlap(m, s) for s in gallery]
        best[m.id], limit[m.id] = ious, max(ious)
        chances[m.id] = ious
    for k in (1, 5):
        for least in (0.5, 0.7):
            row = found[group, f"R@{k} IoU {least}"]
            hits = {name: float(max(ious[:k]) >= least) for name, ious in best.items()}
            assert row.n == len(moments)
            assert row.value == pytest.approx(sum(hits.values()) / len(hits))
            assert row.baselines["oracle"] == pytest.approx(sum(v >= least for v in limit.values()) / row.n)
            if group == "all":
                assert task.outcomes()[row.metric] == hits
    for least in (0.5, 0.7):
        drawn = [sum(v >= least for v in ious) / len(ious) for ious in chances.values()]
        assert found[group, f"R@1 IoU {least}"].chance == pytest.approx(sum(drawn) / len(drawn))
    row = found[group, "IoU of the best"]
    assert row.value == pytest.approx(sum(ious[0] for ious in best.values()) / row.n)
    assert row.chance == pytest.approx(sum(sum(ious) / len(ious) for ious in chances.values()) / row.n)
    assert row.baselines["oracle"] == pytest.approx(sum(limit.values()) / row.n)


def test_chance_of_five_is_that_of_drawing_five_windows(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    draw = random.Random(0)
    made = objective(samples, texts_of(samples), EMBED)
    chance = rows(run(MomentsTask(), made, samples))["all", "R@5 IoU 0.5"].chance
    hits = []
    for m in (s for s in samples if s.kind == "moment"):
        near = [overlap(m, s) >= 0.5 for s in samples if s.kind == WINDOW and s.media == m.media]
        hits += [any(draw.sample(near, 5)) for _ in range(4000)]
    assert chance == pytest.approx(sum(hits) / len(hits), abs=0.01)


def test_the_headline_is_recall_at_one_and_half(samples: list[Sample], objective: Any, run: Any) -> None:
    first = run(MomentsTask(), objective(samples, texts_of(samples), EMBED), samples)[0]
    assert (first.metric, first.group) == ("R@1 IoU 0.5", "all")


def test_any_batching_and_repeated_samples_give_the_same_rows(
    samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    assert run(MomentsTask(), made, samples, batches=batching) == run(MomentsTask(), made, samples)


def test_only_windows_of_the_same_video_are_searched(objective: Any, run: Any) -> None:
    samples = [
        window("a", "a.mp4", 0, 10),
        window("b", "b.mp4", 0, 10),
        moment("m", "a.mp4", 0, 10),
    ]
    made = objective(samples, texts_of(samples), EMBED)
    made.video["b"] = made.text["text m"]
    assert run(MomentsTask(), made, samples)[0].value == 1


def test_a_window_at_the_very_limit_counts(objective: Any, run: Any, rows: Any) -> None:
    samples = [window("w", "a.mp4", 0, 0.7), moment("m", "a.mp4", 0, 1)]
    found = rows(run(MomentsTask(), objective(samples, texts_of(samples), EMBED), samples))
    assert found["all", "R@1 IoU 0.7"].value == 1


def test_a_collapsed_model_is_not_rewarded_and_draws_nothing(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    made.video = dict.fromkeys(made.video, torch.ones(16))
    found = rows(run(MomentsTask(), made, samples))
    assert found["all", "R@1 IoU 0.5"].value == 0
    assert found["all", "IoU of the best"].value == pytest.approx(found["all", "IoU of the best"].chance)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([moment("m", "a.mp4", 0, 2), window("w", "b.mp4", 0, 2)], "'m': 'a.mp4' has no sample of the kind"),
        ([moment("m", "a.mp4", 0, None), window("w", "a.mp4", 0, 2)], "'m': a moment needs 'end'"),
        ([moment("m", "a.mp4", 0, 2), window("w", "a.mp4", 0, None)], "'w': a window needs 'end'"),
    ],
)
def test_what_cannot_be_searched_is_named(
    samples: list[Sample], message: str, objective: Any, run: Any
) -> None:
    with pytest.raises(ManifestError, match=message):
        run(MomentsTask(), objective(samples, texts_of(samples), EMBED), samples)


def test_moments_whose_windows_were_not_seen_are_left_out_and_counted(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    made = objective(samples, texts_of(samples), EMBED)
    of_b = [i for i, s in enumerate(samples) if s.media == "b.mp4" or s.kind == "moment"]
    row = run(MomentsTask(), made, samples, batches=[of_b])[0]
    assert row.n == 4
    assert row.note == "5.0 windows a moment; 4 left out: not all of their windows were seen"


class Grey(VisionEncoder):
    """Token = mean grey of one frame."""

    dim = 1
    grid = (1, 1, 1)
    preprocessing = Preprocessing(size=(16, 16), num_frames=1)

    def forward(self, video: Tensor) -> Tensor:
        return video.float().mean(dim=(2, 3, 4)).unsqueeze(-1) / 255  # [B, 1, 1]

    def fingerprint(self) -> str:
        return "grey"


class Brightness(Objective):
    """Places greys, and the words for them, on a quarter of a circle."""

    abilities = frozenset({EMBED})
    known: ClassVar = {"dark": 0.0, "grey": 0.5, "bright": 1.0}

    def __init__(self) -> None:
        super().__init__()
        self.vision_encoder = Grey(frozen=True)

    def collator(self) -> Collator:
        return Collate(query=_no_words, target=_no_words)

    def embed_video(self, batch: Batch) -> Tensor:
        return _arc(self.visual_tokens(batch)[:, 0, 0])

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return _arc(torch.tensor([self.known[t] for t in texts]))


def _arc(x: Tensor) -> Tensor:
    return torch.stack([x.cos(), x.sin()], dim=-1)


def _no_words(texts: Any) -> TextTokens:
    empty = torch.zeros(len(texts), 0)
    return TextTokens(empty.long(), empty.bool())


def test_windows_of_a_real_video_find_what_is_shown_in_them(tmp_path: Path) -> None:
    greys = [0] * 40 + [128] * 40 + [255] * 40  # four seconds each
    with av.open(str(tmp_path / "long.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for value in greys:
            frame = np.full((32, 32, 3), value, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    asked = [
        Sample(id=text, media="long.mp4", start=at, end=at + 4, target=text, kind="moment", split="test")
        for text, at in (("dark", 0), ("grey", 4), ("bright", 8))
    ]
    write_manifest(tmp_path / "m.jsonl", with_windows(asked, {"long.mp4": 12.0}, lengths=[4], overlap=0))
    objective = Brightness()
    data = ManifestData(
        manifest=str(tmp_path / "m.jsonl"),
        batch_size=4,
        val_split=None,
        cache_features=False,
        single_frame_baseline=False,
    )
    data.attach(objective)
    data.setup("test")
    task = MomentsTask()
    task.bind(data.sample_set("test"), labels=[], train=[])
    for batch in data.test_dataloader()[0]:
        task.update(objective, batch, objective.embed_video(batch))
    found = {row.metric: row for row in task.compute()}
    assert found["R@1 IoU 0.7"].value == 1
    assert found["R@1 IoU 0.7"].chance == pytest.approx(1 / 3)
    assert found["IoU of the best"].value == pytest.approx(1)
    assert [e.predicted for e in task.examples()] == ["0.0–4.0 s", "4.0–8.0 s", "8.0–12.0 s"]
