"""Windows asked of a model: the answers of any other way, less work, and NaN named by its second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from jepa_vl.errors import UserError
from jepa_vl.streaming.live.encoding import WindowEncoder
from jepa_vl.streaming.live.source import open_source
from jepa_vl.streaming.live.tally import Tally
from jepa_vl.streaming.live.windows import Window, Windows
from jepa_vl.use.model import Model

Make = Callable[..., Model]


def windows_of(model: Model, frames: Any) -> list[Window]:
    return list(Windows(open_source(frames), model.preprocessing, window=1.0, stride=0.5))


def noise(seconds: float, *, seed: int = 0) -> list[tuple[float, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [(i / 4, random.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for i in range(int(4 * seconds))]


@pytest.mark.parametrize("per_frame", [True, False])
@pytest.mark.parametrize("size", [1, 3])
def test_embeddings_are_those_of_the_frames_alone(per_frame: bool, size: int, colour_model: Make) -> None:
    model = colour_model(per_frame=per_frame)
    windows = windows_of(model, noise(10))
    encoder = WindowEncoder(model, "what?", Tally())
    found = np.concatenate([encoder.embed(windows[i : i + size]) for i in range(0, len(windows), size)])
    expected = model.embed_frames([torch.stack([f.image for f in w.frames]) for w in windows])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_a_frame_that_windows_share_is_encoded_once_and_forgotten(colour_model: Make) -> None:
    shared, apart = colour_model(per_frame=True), colour_model(per_frame=False)
    seen = []
    for model in (shared, apart):
        encoder = WindowEncoder(model, "", Tally())
        for window in windows_of(model, noise(30)):
            encoder.embed([window])
            assert len(encoder._known) <= 4
        counts: Any = model.objective.vision_encoder
        seen.append(counts.seen)
    assert seen == [120, 59 * 4]  # each frame once, or once for each window


@pytest.mark.parametrize("per_frame", [True, False])
@pytest.mark.parametrize("size", [1, 4, 19])
def test_frames_after_a_window_change_no_embedding_before_them(
    per_frame: bool, size: int, colour_model: Make
) -> None:
    model = colour_model(per_frame=per_frame)
    past = noise(5)
    embedded = []
    for seed in (1, 2):
        future = [(5 + t, frame) for t, frame in noise(5, seed=seed)]
        encoder = WindowEncoder(model, "", Tally())
        windows = windows_of(model, past + future)
        several = [windows[i : i + size] for i in range(0, len(windows), size)]
        embedded.append(np.concatenate([encoder.embed(each) for each in several]))
    before = 9  # windows that end by second 5
    assert np.array_equal(embedded[0][:before], embedded[1][:before])
    assert not np.allclose(embedded[0][before:], embedded[1][before:])


def test_an_embedding_that_is_no_number_is_named_by_its_second(
    colour_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = colour_model()
    windows = windows_of(model, noise(5))
    good = model.objective.embed_video

    def bad(batch: Any) -> torch.Tensor:
        embeddings = good(batch)
        embeddings[2] = torch.nan
        return embeddings

    monkeypatch.setattr(model.objective, "embed_video", bad)
    with pytest.raises(UserError, match=r"window at 1\.50 s holds NaN"):
        WindowEncoder(model, "", Tally()).embed(windows[:4])


def test_time_is_counted_by_phase(colour_model: Make) -> None:
    model, tally = colour_model(), Tally()
    encoder = WindowEncoder(model, "", tally)
    embedding = encoder.embed(windows_of(model, noise(2))[:1])[0]
    assert encoder.decode(embedding) in ("red", "green", "blue", "black")
    assert all(tally.phases[phase] > 0 for phase in ("encoder", "predictor", "decoder"))
    assert sum(tally.shares().values()) == pytest.approx(1)
