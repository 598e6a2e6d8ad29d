"""`Model`: any trained objective, asked about videos in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from huggingface_hub import ModelHubMixin
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.progress import track
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, GENERATE, SCORE, Objective
from jepa_vl.results import Results
from jepa_vl.sample import WINDOW, Batch, Item, Sample
from jepa_vl.use.matches import Match, best, choices
from jepa_vl.use.source import Video, Videos, describe, read_frames, several
from jepa_vl.vision.base import Preprocessing

MISSING = {
    EMBED: "ask an objective with a shared space for embeddings, such as `jepa`",
    SCORE: "answering needs an objective that can score texts, such as `jepa` or `token`",
    GENERATE: "give the recipe a decoder (objective.decoder), or use an objective that generates, such as "
    "`token`",
}

R = TypeVar("R")


class Model(
    ModelHubMixin,
    library_name="jepa-vl",
    tags=["video", "vision-language", "jepa"],
    paper_url="https://arxiv.org/abs/2512.10942",
):
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
        encoder = self.objective.vision_encoder
        if encoder is None:
            raise UserError(f"{type(self.objective).__name__} reads texts alone, it sees no video")
        return encoder.preprocessing

    @torch.inference_mode()
    def embed_video(self, videos: Videos, query: str = "") -> Tensor:
        """Embed videos, asked ``query`` of them: unit vectors ``[E]`` of one video, ``[B, E]`` of several.

        Raises:
            UserError: The objective has no embeddings, or a video cannot be read.
        """
        self._need(EMBED)
        return self._each(
            videos, query, lambda batch: list(self.objective.embed_video(batch).cpu()), torch.stack
        )

    @torch.inference_mode()
    def embed_frames(self, frames: Sequence[Tensor], query: str = "") -> Tensor:
        """Embed frames that `read_frames` has read: ``B × [T, C, H, W]`` → unit vectors ``[B, E]``."""
        self._need(EMBED)
        names = [f"video {i}" for i in range(len(frames))]
        return self.objective.embed_video(self._collate(frames, names, query)).cpu()

    @torch.inference_mode()
    def embed_text(self, texts: str | Sequence[str]) -> Tensor:
        """Embed texts: a unit vector ``[E]`` of one text, ``[K, E]`` of several.

        Raises:
            UserError: The objective has no embeddings.
        """
        self._need(EMBED)
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
        for template in templates:
            if "{}" not in template:
                raise UserError(f"template '{template}' has no {{}} for the class name")
        if not templates:
            raise UserError("there is no template; expected at least one, such as '{}'")
        texts = [template.replace("{}", label) for label in labels for template in templates]
        scores = self._scorer(texts, per=len(templates))
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
        self._need(SCORE)

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
        max_new_tokens: int = 32,
    ) -> Any:
        """Say what a video shows, or answer ``query`` freely; a list of texts for several videos.

        Args:
            videos: One video or several.
            query: What is asked of the video.
            texts: What may be said, for a decoder that chooses among texts (`nearest`); others pass it over.
            max_new_tokens: Longest text of an objective that is a language model.

        Raises:
            UserError: The objective cannot say anything; it names what is missing.
        """
        self._need(GENERATE)
        decoder = getattr(self.objective, "decoder", None)
        if texts is not None and isinstance(decoder, TextDecoder):
            decoder.tell_texts(choices(texts, "text"), self.objective.embed_text)
        return self._each(
            videos, query, lambda batch: self.objective.generate(batch, max_new_tokens=max_new_tokens)
        )

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
        embedded = isinstance(videos, Tensor) and videos.ndim == 2
        names = (
            [f"video {i}" for i in range(len(videos))]  # type: ignore[arg-type]
            if embedded
            else [describe(video, i) for i, video in enumerate(several(videos)[0])]
        )
        if not names:
            raise UserError("there is no video to search")
        wanted = self.embed_text(text)  # [E]
        gallery = videos if embedded else self.embed_video(several(videos)[0])
        assert isinstance(gallery, Tensor)
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

    def _save_pretrained(self, save_directory: Path) -> None:
        from jepa_vl.use.export import write_folder

        write_folder(self, save_directory)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        **options: Any,
    ) -> Self:
        """Load what `save_pretrained` wrote, from a folder or from the hub.

        Args:
            pretrained_model_name_or_path: Folder, or hub id ``owner/model``.
            revision: Branch, tag or commit on the hub.
            token: Of the hub, for a private model.
            **options: ``device``, ``batch_size`` and ``progress`` of the model.

        Raises:
            UserError: There is no such model, or a part of it is missing, damaged or another one here.
        """
        from jepa_vl.use.export import fetch, read_folder

        place = pretrained_model_name_or_path
        folder = Path(place) if Path(place).is_dir() else fetch(str(place), revision=revision, token=token)
        return read_folder(cls, folder, **options)

    def _need(self, ability: str) -> None:
        if ability not in self.abilities:
            can = ", ".join(sorted(self.abilities)) or "nothing"
            raise UserError(
                f"{type(self.objective).__name__} cannot {ability} (it can: {can}): {MISSING[ability]}"
            )

    def _scorer(self, texts: list[str], *, per: int) -> Callable[[Batch], Tensor]:
        """Return what scores a batch's B videos against K classes of ``per`` texts each: ``[B, K]``."""
        objective = self.objective
        if EMBED in self.abilities:
            each = objective.embed_text(texts).float().unflatten(0, (-1, per))  # [K, per, E]
            bank = normalize(each.mean(dim=1), dim=-1)  # [K, E]
            return lambda batch: (objective.embed_video(batch).float() @ bank.T).cpu()
        self._need(SCORE)

        def score(batch: Batch) -> Tensor:
            rows = torch.stack(objective.score(batch, [texts] * len(batch)))  # [B, K · per]
            return rows.float().unflatten(1, (-1, per)).mean(-1).cpu()

        return score

    def _each(
        self,
        videos: Videos,
        query: str,
        ask: Callable[[Batch], list[R]],
        join: Callable[[list[R]], Any] = list,
    ) -> Any:
        """Ask batch by batch; the answer itself for a single video, else all of them, joined."""
        listed, single = several(videos)
        found = [row for batch in self._batches(listed, query) for row in ask(batch)]
        return found[0] if single else join(found)

    def _batches(self, videos: Sequence[Video], query: str) -> Iterator[Batch]:
        starts: Any = range(0, len(videos), self.batch_size)
        if self.progress:
            starts = track(starts, total=len(starts), what=f"Reading videos ({self.batch_size} a step)")
        for start in starts:
            some = videos[start : start + self.batch_size]
            frames = [read_frames(video, self.preprocessing) for video in some]
            yield self._collate(frames, [describe(v, i) for i, v in enumerate(some, start)], query)

    def _collate(self, frames: Sequence[Tensor], names: Sequence[str], query: str) -> Batch:
        items = [
            Item(Sample(id=str(i), media=name, query=query, target="", kind=WINDOW), i, video=video)
            for i, (name, video) in enumerate(zip(names, frames, strict=True))
        ]
        return self.objective.collator()(items).to(self.objective.device)
