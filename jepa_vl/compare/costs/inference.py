"""What inference costs, split as in Fig. 3 of the paper, over frames and numbers of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from jepa_vl.compare.costs.inference_parts import InferenceParts, parts_of
from jepa_vl.compare.costs.rows import CostRow, Part
from jepa_vl.compare.costs.stopwatch import measure
from jepa_vl.data.base import SampleData, SampleSet
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch, Item
from jepa_vl.vision.base import VisionEncoder

BATCHES = (1, 16)
FRAMES = (4, 8, 16)
CANDIDATES = (10, 100, 1000)


@torch.inference_mode()
def inference_cost(
    objective: Objective,
    data: SampleData,
    *,
    frames: Sequence[int] = FRAMES,
    candidates: Sequence[int] = CANDIDATES,
    batches: Sequence[int] = BATCHES,
) -> list[CostRow]:
    """Measure the parts of inference, each by itself, with frames in memory, on the objective's device.

    An encoder that was trained with T frames sees more as further windows of T, whose tokens follow each
    other; numbers that are no multiple of T are left out. Candidates are chosen among at the least frames.
    An objective that is neither `jepa` nor `token` has the row of its vision encoder alone.

    Args:
        objective: Trained, and attached to the data.
        data: Set up; clips and queries are those of its first test set, candidates the targets of that
            and of training.
        frames: Numbers of frames.
        candidates: Numbers of texts to choose from; those that the data have too few texts for are left out.
        batches: Numbers of samples at once.
    """
    encoder = objective.vision_encoder
    if encoder is None:
        return []
    objective.eval()
    parts, bench = parts_of(objective, data), Bench(objective.device)
    own = encoder.preprocessing.num_frames
    windows = [count // own for count in frames if count % own == 0 and count >= own] or [1]
    samples = data.sample_set(data.test_sets[0])
    texts = candidate_texts(data, max(candidates, default=0))
    candidates = [count for count in candidates if count <= len(texts)]
    rows: list[CostRow] = []
    for size in batches:
        clips, batch = _first(objective, encoder, samples, size)
        for times in windows:
            video = clips.repeat(1, times, 1, 1, 1)  # uint8 [B, k·T, C, H, W]
            row, tokens = bench.vision(encoder, video)
            rows.append(row)
            if parts is not None:
                seen = replace(batch, tokens=tokens)
                rows += bench.thinking(parts, seen, frames=video.shape[1])
                if times == windows[0]:
                    rows += bench.choosing(parts, seen, texts, candidates)
    return rows


@dataclass(frozen=True)
class Bench:
    """Where parts are measured.

    Attributes:
        device: Waited for around each run.
    """

    device: torch.device

    def vision(self, encoder: VisionEncoder, video: Tensor) -> tuple[CostRow, Tensor]:
        """Measure the encoder on ``[B, k·T, C, H, W]``, and return its tokens ``[B, k·N, D]`` too."""
        frames = {"frames": video.shape[1]}
        row = self._row("vision encoder", len(video), lambda v: encode(encoder, v), always(video), **frames)
        return row, encode(encoder, video)

    def thinking(self, parts: InferenceParts, batch: Batch, *, frames: int) -> Iterator[CostRow]:
        """Measure query, predictor or prefix, and decoding."""
        size = len(batch)
        queries = [sample.query for sample in batch.samples]
        yield self._row("query", size, parts.read, always(queries), frames=frames)
        yield self._row(parts.thinking, size, parts.think, always(batch), frames=frames)
        if parts.speaks:
            words = sum(len(text.split()) for text in parts.say(parts.think(batch))) / size
            row = self._row("decoding", size, parts.say, lambda: parts.think(batch), frames=frames)
            yield row.model_copy(update={"note": f"{words:.1f} words a text"})

    def choosing(
        self, parts: InferenceParts, batch: Batch, texts: Sequence[str], counts: Sequence[int]
    ) -> Iterator[CostRow]:
        """Measure candidates and their scores."""
        size, thought = len(batch), parts.think(batch)
        for count in counts:
            chosen = list(texts[:count])
            if parts.embeds_candidates and size == 1:
                yield self._row("candidates", 1, parts.embed, always(chosen), candidates=count)
            known = parts.embed(chosen)
            work = partial(parts.choose, thought)
            yield self._row("scoring", size, work, always(known), candidates=count)

    def _row(
        self, part: Part, size: int, work: Callable[[Any], object], operand: Callable[[], Any], **of: Any
    ) -> CostRow:
        found = measure(work, operand, self.device)
        return CostRow(
            part=part,
            batch=size,
            milliseconds=1000 * found.seconds / size,
            flops=found.flops / size,
            runs=found.runs,
            **of,
        )


def encode(encoder: VisionEncoder, video: Tensor) -> Tensor:
    """Encode ``[B, k·T, C, H, W]`` as k windows of T frames: tokens ``[B, k·N, D]``."""
    windows = video.unflatten(1, (-1, encoder.preprocessing.num_frames))  # [B, k, T, C, H, W]
    return encoder(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]).flatten(1, 2)


def always(value: Any) -> Callable[[], Any]:
    """Return what prepares nothing: each run gets the same value."""
    return lambda: value


def candidate_texts(data: SampleData, count: int) -> list[str]:
    """Return ``count`` distinct texts, or all there are: targets, then pairs of these, of known words."""
    sets = (data.train_split, data.test_sets[0])
    targets = (sample.target for name in sets for sample in data.sample_set(name).samples)
    own = list(dict.fromkeys(text for text in targets if text))
    pairs = (f"{first} {second}" for first in own for second in own)
    return list(islice(dict.fromkeys(chain(own, islice(pairs, count))), count))


def _first(
    objective: Objective, encoder: VisionEncoder, samples: SampleSet, size: int
) -> tuple[Tensor, Batch]:
    """Return clips ``[B, T, C, H, W]`` and a batch of the first samples, those with a query first."""
    order = sorted(range(len(samples)), key=lambda i: not samples.samples[i].query)
    chosen = [order[i % len(order)] for i in range(size)]
    read = encoder.preprocessing
    items = []
    for position in chosen:
        video = samples.frames(position)
        if video is None:
            video = torch.zeros(read.num_frames, 3, *read.size, dtype=torch.uint8)
        items.append(Item(samples.samples[position], position, video=video))
    batch = objective.collator()(items).to(objective.device)
    assert batch.video is not None
    return batch.video, replace(batch, video=None)
