"""Windows → embeddings or texts: the query is tokenised once, and shared frames are encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jepa_vl.sample import Batch, TextTokens
from jepa_vl.streaming.checks import require_finite_window
from jepa_vl.streaming.live.tally import Tally
from jepa_vl.streaming.live.windows import Window
from jepa_vl.use.batches import collate, preprocessing_of
from jepa_vl.vision.raw_frames import RawFrames

if TYPE_CHECKING:
    from jepa_vl.use.model import Model


class WindowEncoder:
    """Asks a model about windows, in the order of a stream. Each is encoded by itself.

    Where the vision encoder sees frames alone, a frame that several windows share is encoded once.

    Args:
        model: Is asked.
        query: What is asked of each window.
        tally: Gets the time.
    """

    def __init__(self, model: Model, query: str, tally: Tally) -> None:
        self._objective = model.objective
        self._tally = tally
        self._device = model.objective.device
        read = preprocessing_of(model.objective)
        nothing = torch.zeros(read.num_frames, 3, *read.size, dtype=torch.uint8)
        self._asked = collate(self._objective, [nothing], ["stream"], query)
        self._known: dict[int, Tensor] = {}  # what was encoded of the frames that later windows may share

    @torch.inference_mode()
    def embed(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """Embed B windows: float32 unit vectors ``[B, E]``.

        Raises:
            UserError: An embedding is not finite.
        """
        batch = self._batch(windows)
        with self._tally.timed("predictor"):
            embeddings = self._objective.embed_video(batch).float().cpu().numpy()
        for window, embedding in zip(windows, embeddings, strict=True):
            require_finite_window(window.centre, embedding)
        return embeddings

    @torch.inference_mode()
    def say(self, window: Window) -> str:
        """Have a model that generates say the text of a window."""
        batch = self._batch([window])
        with self._tally.timed("decoder"):
            return self._objective.generate(batch)[0]

    @torch.inference_mode()
    def decode(self, embedding: NDArray[np.float32]) -> str:
        """Say the text of an embedding ``[E]``."""
        with self._tally.timed("decoder"):
            return self._objective.decode(torch.from_numpy(embedding[None].copy()).to(self._device))[0]

    def _batch(self, windows: Sequence[Window]) -> Batch:
        """Return B windows with the query: their tokens, or frames where the objective wants these."""
        count = len(windows)
        asked = replace(
            self._asked,
            samples=self._asked.samples * count,
            index=torch.arange(count, device=self._device),
            group=self._asked.group.expand(count),
            query=_repeated(self._asked.query, count),
            target=_repeated(self._asked.target, count),
        )
        encoder = self._objective.vision_encoder
        assert encoder is not None
        with self._tally.timed("encoder"):
            if encoder.per_frame:
                return replace(asked, video=None, tokens=self._shared(windows))
            video = torch.stack(
                [torch.stack([f.image for f in w.frames]) for w in windows]
            )  # [B, T, C, H, W]
            asked = replace(asked, video=video.to(self._device))
            if isinstance(encoder, RawFrames):
                return asked
            return replace(asked, video=None, tokens=self._objective.visual_tokens(asked))

    def _shared(self, windows: Sequence[Window]) -> Tensor:
        """Encode the frames that are new, and join those of each window to tokens ``[B, N, D]``."""
        encoder = self._objective.vision_encoder
        assert encoder is not None
        frames = {f.number: f for w in windows for f in w.frames}
        new = [number for number in frames if number not in self._known]
        if new:
            encoded = encoder.encode_frames(torch.stack([frames[n].image for n in new]).to(self._device))
            self._known.update(zip(new, encoded, strict=True))
        joined = encoder.join_frames(
            torch.stack([torch.stack([self._known[f.number] for f in w.frames]) for w in windows])
        )
        oldest = windows[-1].frames[0].number  # a later window begins with this frame or a later one
        self._known = {number: known for number, known in self._known.items() if number >= oldest}
        return joined


def _repeated(tokens: TextTokens, count: int) -> TextTokens:
    return replace(tokens, ids=tokens.ids.expand(count, -1), mask=tokens.mask.expand(count, -1))
