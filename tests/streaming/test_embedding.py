"""The embeddings of a stream: where its windows lie, and the same after a round trip to disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_vl.errors import UserError
from jepa_vl.streaming.embedding import embed_stream, load_stream, save_stream
from jepa_vl.use import Stretch
from jepa_vl.use.model import Model

Make = Callable[..., Model]
Write = Callable[..., Path]


@pytest.fixture
def video(write_video: Write, tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", [("red", 9), ("green", 14), ("blue", 13)])  # 9 s


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_windows_are_embedded_as_the_stretches_of_the_video_are(
    batch_size: int, video: Path, colour_model: Make
) -> None:
    model = colour_model()
    stream = embed_stream(model, video, batch_size=batch_size)
    assert stream.times.tolist() == [0.5 + i / 2 for i in range(17)]
    assert (stream.duration, stream.window, stream.stride, stream.name) == (9.0, 1.0, 0.5, str(video))
    expected = model.embed_video([Stretch(video, t - 0.5, t + 0.5) for t in stream.times])
    np.testing.assert_allclose(stream.embeddings, expected.numpy(), atol=1e-6)


def test_what_was_written_is_read_again(video: Path, colour_model: Make, tmp_path: Path) -> None:
    model = colour_model()
    stream = embed_stream(model, video, query="what?")
    file = tmp_path / "a.safetensors"
    save_stream(stream, file, model=model, query="what?")
    again = load_stream(file, model=model, query="what?")
    assert np.array_equal(again.times, stream.times)
    assert np.array_equal(again.embeddings, stream.embeddings)
    assert (again.duration, again.window, again.stride, again.name) == (9.0, 1.0, 0.5, str(video))
    assert [f.name for f in tmp_path.glob(".*")] == []  # nothing half-written is left


def test_embeddings_of_another_model_or_query_are_refused(
    video: Path, colour_model: Make, tmp_path: Path
) -> None:
    model, other = colour_model(), colour_model()
    other.objective.register_buffer("weights", torch.ones(1))
    file = tmp_path / "a.safetensors"
    save_stream(embed_stream(model, video), file, model=model)
    with pytest.raises(UserError, match="another model"):
        load_stream(file, model=other)
    with pytest.raises(UserError, match="with the query '', not 'what'"):
        load_stream(file, query="what")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        load_stream(file)
    with pytest.raises(UserError, match="there is no file"):
        load_stream(tmp_path / "b.safetensors")


def test_a_model_without_embeddings_says_so(video: Path, colour_model: Make) -> None:
    with pytest.raises(UserError, match="cannot embed"):
        embed_stream(colour_model(embeds=False), video)
