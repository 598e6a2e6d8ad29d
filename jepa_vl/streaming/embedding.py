"""A video → the embeddings of its windows, kept on disk: policies are compared without the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jepa_vl.data.progress import track
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.live.encoding import WindowEncoder
from jepa_vl.streaming.live.source import Source, open_source
from jepa_vl.streaming.live.tally import Tally
from jepa_vl.streaming.live.windows import Windows, check_windows
from jepa_vl.use.abilities import need
from jepa_vl.use.identity import identity
from jepa_vl.whole_file import replacing

if TYPE_CHECKING:
    from jepa_vl.use.model import Model

T = TypeVar("T")


def embed_stream(
    model: Model,
    source: str | Path | Iterable[tuple[float, Any]] | Source,
    *,
    window: float = 1.0,
    stride: float = 0.5,
    query: str = "",
    batch_size: int | None = None,
    progress: bool = False,
) -> EmbeddingStream:
    """Embed the windows of a video that ends.

    Args:
        model: Embeds them.
        source: A path, a URL, or an iterator of (seconds, frame).
        window: Seconds of a window.
        stride: Seconds from one window to the next.
        query: What is asked of each window.
        batch_size: Windows that are encoded at once; the model's by default.
        progress: Show how many windows are done, where that takes seconds.

    Raises:
        UserError: The model has no embeddings, the video cannot be read, or an embedding is not finite.
        RecipeError: The window or the stride is not positive, or there would be gaps between windows.
    """
    check_windows(window, stride)
    need(model.objective, EMBED)
    opened = open_source(source)
    windows = Windows(opened, model.preprocessing, window=window, stride=stride)
    encoder = WindowEncoder(model, query, Tally())
    times, rows = [], []
    found: Iterator[Any] = iter(windows)
    if progress:
        total = None if opened.length is None else max(1, round((opened.length - window) / stride) + 1)
        found = track(found, total=total, what=f"Embedding windows of {opened.name}")
    for several in batched(found, batch_size or model.batch_size):
        times += [each.centre for each in several]
        rows.append(encoder.embed(several))
    if not rows:
        raise UserError(f"'{opened.name}' has no window of {window:g} s")
    return EmbeddingStream(
        times=np.array(times),
        embeddings=np.concatenate(rows),
        window=window,
        stride=stride,
        duration=windows.reached,
        name=opened.name,
    )


def save_stream(stream: EmbeddingStream, path: Path, *, model: Model | None = None, query: str = "") -> None:
    """Write a stream as safetensors; the file appears whole or not at all.

    Args:
        stream: What is kept.
        path: The file.
        model: Which made it; `load_stream` compares it.
        query: What was asked of each window.
    """
    about = {
        "window": stream.window,
        "stride": stream.stride,
        "duration": stream.duration,
        "name": stream.name,
        "events": list(stream.events),
        "query": query,
        "model": None if model is None else identity(model),
    }
    tensors: dict[str, NDArray[Any]] = {
        "times": np.ascontiguousarray(stream.times, dtype=np.float64),
        "embeddings": np.ascontiguousarray(stream.embeddings, dtype=np.float32),
    }
    with replacing(path) as part:
        save_file(tensors, part, metadata={"stream": json.dumps(about, ensure_ascii=False)})


def load_stream(path: Path, *, model: Model | None = None, query: str | None = None) -> EmbeddingStream:
    """Read what `save_stream` wrote.

    Args:
        path: The file.
        model: Must be the one that made it, if given.
        query: Must be what was asked, if given.

    Raises:
        UserError: There is no such file, it is damaged or no stream, or it is of another model or query.
    """
    if not path.is_file():
        raise UserError(f"there is no file '{path}'")
    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {})["stream"])
            times, embeddings = file.get_tensor("times"), file.get_tensor("embeddings")
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is damaged, or holds no embeddings of a stream: {error}") from error
    if model is not None and about["model"] != identity(model):
        raise UserError(f"{path} was made with another model; embed the stream again")
    if query is not None and about["query"] != query:
        raise UserError(f"{path} was made with the query '{about['query']}', not '{query}'")
    return EmbeddingStream(
        times=times,
        embeddings=embeddings,
        window=about["window"],
        stride=about["stride"],
        duration=about["duration"],
        name=about["name"],
        events=tuple(about["events"]),
    )


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of up to ``size``."""
    iterator = iter(items)
    while several := list(islice(iterator, size)):
        yield several
