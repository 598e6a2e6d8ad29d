"""`Sample`, a record of the manifest; `Item`, what a data set yields; `Batch`, what an objective sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from torch import Tensor

from jepa_vl.transfer import send

CHOICE, WINDOW = "choice", "window"  # kinds of samples without a text of their own
_SHOWN = 10  # candidates that a message lists


class Sample(BaseModel):
    """One line of a JSONL manifest: a (video, query, target) triplet and what is known about it.

    Attributes:
        id: Unique within the manifest.
        media: Path (relative to the manifest) or URL of a video, an image or a folder of frames; empty for
            a sample of text alone.
        start: Where the clip begins in the media, in seconds; None means the beginning.
        end: Where the clip ends, in seconds; None means the end.
        query: The textual query X_Q; empty in query-free pretraining.
        target: The target text Y; empty only where there is nothing to say: with ``choices``, and for the
            kinds ``choice`` and ``window``.
        label: Class name, for open-vocabulary classification.
        candidates: Answers to choose from, for discriminative VQA. In a manifest, a list or the name of a
            text file beside it, with one a line, for a list that many samples share.
        answer: The right one of ``candidates`` (``target`` when omitted) or of ``choices``.
        choices: Ids of the samples whose clips are to choose from, for world modelling.
        paraphrase: Another text of the same meaning as ``target``, for hard negatives.
        negative: A text like ``target`` with another meaning, for hard negatives.
        timestamps: Seconds at which an annotated stream says ``target``.
        group: Samples of one group are never each other's negatives; equal target text when omitted.
        episode: What must not be split: samples of one episode lie in one split.
        split: ``train``, ``val``, ``test`` or a name of the data set's own.
        source: The data set it came from.
        kind: What is reported apart, such as the kind of a question. ``choice`` is a clip to choose, and
            ``window`` a part of a long video that is searched; neither needs a target.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    media: str
    start: float | None = Field(default=None, ge=0)
    end: float | None = Field(default=None, gt=0)
    query: str = ""
    target: str
    label: str | None = None
    candidates: tuple[str, ...] | None = None
    answer: str | None = None
    choices: tuple[str, ...] | None = None
    paraphrase: str | None = None
    negative: str | None = None
    timestamps: tuple[float, ...] | None = None
    group: str | None = None
    episode: str | None = None
    split: str = "train"
    source: str = ""
    kind: str | None = None

    @field_validator("candidates", mode="wrap")
    @classmethod
    def _shared(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Who reads a manifest gives a function as context: a list or the name of a file → the list."""
        if info.context is None or value is None:
            return handler(value)
        return info.context(value if isinstance(value, str) else handler(value))

    @model_validator(mode="after")
    def _consistent(self) -> Sample:
        if not self.target.strip() and not self.wordless:
            raise ValueError("target is blank; every sample needs a target text")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must lie after start ({self.start})")
        if self.candidates is not None and self.right_answer not in self.candidates:
            shown = list(self.candidates) if len(self.candidates) <= _SHOWN else len(self.candidates)
            raise ValueError(f"answer '{self.right_answer}' is not among candidates {shown}")
        if self.choices is not None and self.answer not in self.choices:
            raise ValueError(f"answer '{self.answer}' is not among choices {list(self.choices)}")
        if (self.paraphrase is None) != (self.negative is None):
            raise ValueError("paraphrase and negative go together; one of them is missing")
        return self

    @property
    def wordless(self) -> bool:
        """Whether the sample is a clip without a text: a choice, a window, or a question about choices."""
        return self.choices is not None or self.kind in (CHOICE, WINDOW)

    @property
    def right_answer(self) -> str:
        """The answer that counts as right: ``answer``, else ``target``."""
        return self.target if self.answer is None else self.answer

    @property
    def role(self) -> str:
        """What it trains: ``vqa`` (candidates), ``class`` (a label), ``caption`` (no query) or ``prompt``."""
        if self.candidates is not None:
            return "vqa"
        if self.label is not None:
            return "class"
        return "prompt" if self.query else "caption"

    @property
    def group_id(self) -> int:
        """A 63-bit number, equal for samples that are not each other's negatives, on every machine."""
        text = self.group if self.group is not None else self.target or self.id
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass
class Item:
    """A sample with its media read: raw frames, or the frozen encoder's cached tokens; neither for a text."""

    sample: Sample
    index: int
    video: Tensor | None = None  # uint8 [T, C, H, W], RGB, at the encoder's size
    tokens: Tensor | None = None  # [N, D]


@dataclass
class TextTokens:
    """B tokenised texts, padded on the right.

    Attributes:
        ids: int64 ``[B, L]``.
        mask: bool ``[B, L]``, true where there is a token.
        truncated: How many texts were longer than the context.
        rows: The ids of each text, for the CPU to know without a wait for the device; None where it does not.
    """

    ids: Tensor
    mask: Tensor
    truncated: int = 0
    rows: tuple[tuple[int, ...], ...] | None = None

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Row and column of each of the n tokens, each int64 ``[n]``: what ``x[text.mask]`` would look up."""
        if self.rows is None:
            row, column = self.mask.nonzero(as_tuple=True)
            return row, column
        lengths = torch.tensor([len(row) for row in self.rows])
        places = (torch.arange(self.ids.shape[1]) < lengths.unsqueeze(1)).nonzero()  # [n, 2]
        row, column = send(places.T, self.ids.device)
        return row, column

    def select(self, at: Tensor | slice, rows: Sequence[int]) -> TextTokens:
        """Return the texts of these rows, which ``at`` says to tensors."""
        kept = None if self.rows is None else tuple(self.rows[i] for i in rows)
        return replace(self, ids=self.ids[at], mask=self.mask[at], rows=kept)

    def pin_memory(self) -> TextTokens:
        """Return a copy in memory from which a GPU copies by itself."""
        return replace(self, ids=self.ids.pin_memory(), mask=self.mask.pin_memory())

    def to(self, device: Any, non_blocking: bool = False) -> TextTokens:
        """Return a copy on ``device``."""
        return replace(
            self,
            ids=self.ids.to(device, non_blocking=non_blocking),
            mask=self.mask.to(device, non_blocking=non_blocking),
        )


@dataclass
class Batch:
    """B collated samples. One of ``video`` and ``tokens`` is there, and neither in a batch of texts.

    Attributes:
        longest_text: Most tokens of a sample's query and target together, or more; None if not known.
    """

    samples: list[Sample]
    index: Tensor  # int64 [B], position in the data set
    group: Tensor  # int64 [B], equal where samples are not negatives of each other
    query: TextTokens
    target: TextTokens
    video: Tensor | None = None  # uint8 [B, T, C, H, W]
    tokens: Tensor | None = None  # [B, N, D]
    longest_text: int | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def has_media(self) -> bool:
        """Whether there is something to see."""
        return self.video is not None or self.tokens is not None

    def select(self, rows: Sequence[int]) -> Batch:
        """Return the batch of these rows, in this order; the tensors of a ``range`` are views."""
        if list(rows) == list(range(len(self))):
            return self
        at: Tensor | slice
        if isinstance(rows, range) and rows.step == 1:
            at = slice(rows.start, rows.stop)
        else:
            at = torch.as_tensor(rows, dtype=torch.long, device=self.index.device)

        picked = self._each(lambda value: value[at] if isinstance(value, Tensor) else value.select(at, rows))
        return replace(picked, samples=[self.samples[i] for i in rows])

    def pin_memory(self) -> Batch:
        """Return a copy in memory from which a GPU copies by itself; a data loader calls it."""
        return self._each(lambda value: value.pin_memory())

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        """Return a copy with every tensor on ``device``."""
        return self._each(lambda value: value.to(device, non_blocking=non_blocking))

    def _each(self, change: Callable[[Any], Any]) -> Batch:
        """Return a copy with every tensor, and all texts, changed alike."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {k: change(v) for k, v in held.items() if isinstance(v, Tensor | TextTokens)}
        return replace(self, **changed)
