"""A run of `streams.yaml` follows a stream of its own test split, with the real encoder and predictor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import jepa_vl
from jepa_vl.streaming.embedding import embed_stream

Command = Callable[..., int]
MODEL = ("--model", "runs/streams", "--texts", "the agent walks,the agent opens the red door,the agent waits")


@pytest.fixture
def video(command: Command, cache: Path) -> Path:
    """A test stream of ten seconds, beside the run that has been trained on others."""
    assert command("fit", "--config", "recipes/streams.yaml", "--init_from", "null") == 0
    return max((cache / "data").glob("babyai-streams-*/streams/test/0000.mp4"))


@pytest.mark.slow
def test_every_policy_tells_a_video_and_what_it_wrote_is_whole(
    command: Command, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("uniform", "selective", "coverage", "online", "random"):
        names = [f"{policy}.{kind}" for kind in ("jsonl", "srt", "vtt")]
        outputs = [word for name in names for word in ("--output", name)]
        words = (*outputs, "--report", f"{policy}.html", "--policy", policy, "--rate", "0.5")
        assert command("stream", str(video), *MODEL, *words) == 0
        said = [json.loads(line) for line in Path(names[0]).read_text().splitlines()]
        assert len(said) == 5 or policy == "online"
        assert all(0 <= event["time"] <= 10 for event in said)
        for name in names[1:]:
            assert Path(name).read_text().count(" --> ") == len(said)
        assert Path(f"{policy}.html").read_text().count('class="band ') == len(said)
        assert f", {len(said)} decode" in capsys.readouterr().out


@pytest.mark.slow
def test_frames_after_a_window_change_no_embedding_before_them_in_a_real_model(
    video: Path,
) -> None:
    with av.open(str(video)) as container:
        past = [
            (i / 4, frame.to_ndarray(format="rgb24")) for i, frame in enumerate(container.decode(video=0))
        ]
    random = np.random.default_rng(0)
    noise = [(t, frame if t < 5 else random.integers(0, 256, frame.shape, np.uint8)) for t, frame in past]
    model = jepa_vl.load("runs/streams", device="cpu")
    before, after = (embed_stream(model, frames).embeddings for frames in (past, noise))
    np.testing.assert_array_equal(before[:9], after[:9])  # windows that end by second 5
    assert (np.abs(before[9:] - after[9:]).max(axis=1) > 1e-3).all()
