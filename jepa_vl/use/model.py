"""`Model`: any trained objective, asked about videos in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, GENERATE, SCORE, Objective
from jepa_vl.results import Results
from jepa_vl.sample import Batch
from jepa_vl.use.abilities import need
from jepa_vl.use.batches import collate, preprocessing_of, read_batches
from jepa_vl.use.classes import class_scorer
from jepa_vl.use.hub import HubModel
from jepa_vl.use.matches import Match, best, choices
from jepa_vl.use.source import Videos, describe, several
from jepa_vl.vision.base import Preprocessing

R = TypeVar("R")


class Model(HubModel):
    """A trained objective that takes videos as they come: paths, URLs, arrays, tensors, lists of frames.

    Frames are chosen, resized and tokenised exactly as in training and evaluation. Each method takes one
    video or several; for several it returns one answer for each.

    Args:
        objective: What is asked.
        recipe: The resolved recipe it was built by; needed to save it.
        name: Name of the run.
        results: What it measured, for the model card.
        device: Where to compute; a GPU if there is one.
        batch_size: How many videos are read and encoded at once.
        progress: Show how many of several videos are done, where that takes seconds.

    Example:
        >>> model = jepa_vl.load("runs/quickstart")
        >>> model.classify("clip.mp4", ["pick up the ball", "open the door"])
        [Match(text='pick up the ball', score=0.71, position=0), …]
    """

    def __init__(
        self,
        objective: Objective,
        *,
        recipe: dict[str, Any] | None = None,
        name: str = "model",
        results: Results | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 16,
        progress: bool = False,
    ) -> None:
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.objective = objective.to(device).eval()
        self.recipe = recipe
        self.name = name
        self.results = results
        self.batch_size = batch_size
        self.progress = progress

    @property
    def abilities(self) -> frozenset[str]:
        """What the objective can do: some of ``embed``, ``score``, ``generate``, ``decode``."""
        return self.objective.abilities

    @property
    def preprocessing(self) -> Preprocessing:
        """How the objective's encoder wants its frames.

        Raises:
            UserError: The objective reads texts alone.
        """
        return preprocessing_of(self.objective)

    @torch.inference_mode()
    def embed_video(self, videos: Videos, query: str = "") -> Tensor:
        """Embed videos, asked ``query`` of them: unit vectors ``[E]`` of one video, ``[B, E]`` of several.

        Raises:
            UserError: The objective has no embeddings, or a video cannot be read.
        """
        need(self.objective, EMBED)
        return self._each(
            videos, query, lambda batch: list(self.objective.embed_video(batch).cpu()), torch.stack
        )

    @torch.inference_mode()
    def embed_frames(self, frames: Sequence[Tensor], query: str = "") -> Tensor:
        """Embed frames that `read_frames` has read: ``B × [T, C, H, W]`` → unit vectors ``[B, E]``."""
        need(self.objective, EMBED)
        names = [f"video {i}" for i in range(len(frames))]
        return self.objective.embed_video(collate(self.objective, frames, names, query)).cpu()

    @torch.inference_mode()
    def embed_text(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts: a unit vector ``[E]`` of one text, ``[K, E]`` of several.

        Raises:
            UserError: The objective has no embeddings.
        """
        need(self.objective, EMBED)
        embeddings = self.objective.embed_text([texts] if isinstance(texts, str) else list(texts)).cpu()
        return embeddings[0] if isinstance(texts, str) else embeddings

    @torch.inference_mode()
    def classify(
        self,
        videos: Videos,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = ("{}",),
        query: str = "",
        top: int = 5,
    ) -> Any:
        """Choose among class names, as `ClassificationTask` does.

        Args:
            videos: One video or several.
            labels: K distinct class names.
            templates: Texts a name is put into at ``{}``; a class is the mean of them.
            query: What is asked of the video.
            top: How many of the best are returned.

        Returns:
            The best `Match`es, best first; a list of such lists for several videos.

        Raises:
            UserError: The labels are not distinct, or a template has no ``{}``.
        """
        labels = choices(labels, "label")
        scores = class_scorer(self.objective, labels, templates)
        return self._each(videos, query, lambda batch: [best(labels, row, top) for row in scores(batch)])

    @torch.inference_mode()
    def answer(self, videos: Videos, question: str, candidates: Sequence[str]) -> Any:
        """Answer a question by one of the candidates.

        Returns:
            Every candidate as a `Match`, the best first; a list of such lists for several videos.

        Raises:
            UserError: The question is blank, or the candidates are not distinct.
        """
        if not question.strip():
            raise UserError("the question is blank")
        candidates = choices(candidates, "candidate")
        need(self.objective, SCORE)

        def answers(batch: Batch) -> list[list[Match]]:
            scores = self.objective.score(batch, [candidates] * len(batch))
            return [best(candidates, row.float().cpu(), len(candidates)) for row in scores]

        return self._each(videos, question, answers)

    @torch.inference_mode()
    def caption(
        self,
        videos: Videos,
        query: str = "",
        *,
        texts: Sequence[str] | None = None,
        max_new_tokens: int | None = None,
    ) -> Any:
        """Say what a video shows, or answer ``query`` freely; a list of texts for several videos.

        Args:
            videos: One video or several.
            query: What is asked of the video.
            texts: What may be said, for a decoder that chooses among texts (`nearest`); others pass it over.
            max_new_tokens: Longest text, in tokens of what says it; its own setting by default.

        Raises:
            UserError: The objective cannot say anything; it names what is missing. Or the longest text has
                no token.
        """
        if max_new_tokens is not None and max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, found {max_new_tokens}")
        need(self.objective, GENERATE)
        if texts is not None:
            self.tell_texts(texts)
        longest = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        return self._each(videos, query, lambda batch: self.objective.generate(batch, **longest))

    @torch.inference_mode()
    def tell_texts(self, texts: Sequence[str]) -> None:
        """Tell a decoder that chooses among texts (`nearest`) what it may say; `save_pretrained` keeps it.

        A model without such a decoder passes it over.

        Raises:
            UserError: The texts are not distinct.
        """
        decoder = getattr(self.objective, "decoder", None)
        if isinstance(decoder, TextDecoder):
            decoder.tell_texts(choices(texts, "text"), self.objective.embed_text)

    @torch.inference_mode()
    def search(self, videos: Videos, text: str, *, top: int = 10) -> list[Match]:
        """Find the videos that a text describes best.

        Args:
            videos: Several videos, or their embeddings ``[N, E]`` from `embed_video`.
            text: What to look for.
            top: How many of the best are returned.

        Raises:
            UserError: There is nothing to search, or the embeddings are of another width.
        """
        if isinstance(videos, Tensor) and videos.ndim == 2:
            gallery, names = videos, [f"video {i}" for i in range(len(videos))]
        else:
            listed, _ = several(videos)
            gallery, names = self.embed_video(listed), [describe(v, i) for i, v in enumerate(listed)]
        if not names:
            raise UserError("there is no video to search")
        wanted = self.embed_text(text)  # [E]
        if gallery.shape[1] != len(wanted):
            raise UserError(
                f"the embeddings are {gallery.shape[1]}-d, those of this model {len(wanted)}-d; "
                "were they made with another model?"
            )
        return best(names, gallery.float().cpu() @ wanted, top)

    def to(self, device: str | torch.device) -> Self:
        """Move the objective to a device, and return this model."""
        self.objective.to(device)
        return self

    def _each(
        self,
        videos: Videos,
        query: str,
        ask: Callable[[Batch], list[R]],
        join: Callable[[list[R]], Any] = list,
    ) -> Any:
        """Ask batch by batch; the answer itself for a single video, else all of them, joined."""
        listed, single = several(videos)
        batches = read_batches(self.objective, listed, query, size=self.batch_size, progress=self.progress)
        found = [row for batch in batches for row in ask(batch)]
        return found[0] if single else join(found)
