"""The parts of inference, of JEPA and of its token twin, as functions that can be measured one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from jepa_vl.data.base import SampleData
from jepa_vl.language.greedy import greedy
from jepa_vl.language.likelihood import log_likelihoods
from jepa_vl.language.prefix import Prefix, read_prefix
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.jepa import JEPAObjective, distinct_targets
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.sample import Batch, TextTokens

MAX_NEW_TOKENS = 32


class InferenceParts(ABC):
    """Attributes: whether it says texts, and whether candidates are embedded apart from scoring them."""

    thinking: Literal["predictor", "prefix"]
    speaks: bool
    embeds_candidates: bool

    @abstractmethod
    def read(self, queries: Sequence[str]) -> TextTokens:
        """Tokenise B queries, and bring them to the device."""

    @abstractmethod
    def think(self, batch: Batch) -> Any:
        """Make of tokens and query what a text is said from: an embedding ``[B, E]``, or a prefix."""

    @abstractmethod
    def say(self, thought: Any) -> list[str]:
        """Say B texts; the thought is used up."""

    def embed(self, texts: Sequence[str]) -> Any:
        """Prepare K candidates for `choose`."""
        return texts

    @abstractmethod
    def choose(self, thought: Any, candidates: Any) -> Tensor:
        """Score K candidates for each of B thoughts: ``[B, K]``."""


@dataclass
class JEPAParts(InferenceParts):
    """Of `JEPAObjective`."""

    objective: JEPAObjective
    thinking: Literal["predictor", "prefix"] = "predictor"
    embeds_candidates: bool = True

    @property
    def speaks(self) -> bool:  # type: ignore[override]
        """Whether there is a decoder."""
        return self.objective.decoder is not None

    def read(self, queries: Sequence[str]) -> TextTokens:
        """Tokenise for the predictor."""
        return self.objective.predictor.tokenizer(queries).to(self.objective.device)

    def think(self, batch: Batch) -> Tensor:
        """Predict unit vectors ``[B, E]``."""
        return self.objective.embed_video(batch)

    def say(self, thought: Tensor) -> list[str]:
        """Decode; whether the decoder is of this space is not checked again."""
        assert self.objective.decoder is not None
        return self.objective.decoder.decode(thought)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Embed ``[K, E]``, each anew: a frozen encoder's memory is not used."""
        with _forgetful(self.objective.text_encoder):
            return self.objective.embed_text(texts)

    def choose(self, thought: Tensor, candidates: Tensor) -> Tensor:
        """Cosines."""
        return thought @ candidates.T


@dataclass
class TokenParts(InferenceParts):
    """Of `TokenObjective`."""

    objective: TokenObjective
    thinking: Literal["predictor", "prefix"] = "prefix"
    speaks: bool = True
    embeds_candidates: bool = False

    def read(self, queries: Sequence[str]) -> TextTokens:
        """Tokenise for the language model."""
        return self.objective.language_model.query_tokenizer(queries).to(self.objective.device)

    def think(self, batch: Batch) -> Prefix:
        """Read visual tokens and query."""
        return read_prefix(self.objective.language_model, *self.objective.prefix(batch))

    def say(self, thought: Prefix) -> list[str]:
        """Say the likeliest tokens, one after the other."""
        return greedy(self.objective.language_model, thought, max_new_tokens=MAX_NEW_TOKENS)

    def choose(self, thought: Prefix, candidates: Sequence[str]) -> Tensor:
        """Mean log-likelihoods a token."""
        language_model = self.objective.language_model
        texts = language_model.target_tokenizer(candidates).to(self.objective.device)
        rows = len(thought.mask)
        pairs = [(row, text) for row in range(rows) for text in range(len(candidates))]
        return log_likelihoods(language_model, thought, texts, pairs).view(rows, -1)


def parts_of(objective: Objective, data: SampleData) -> InferenceParts | None:
    """Return the parts of an objective; None for one whose parts are not known."""
    if isinstance(objective, TokenObjective):
        return TokenParts(objective)
    if not isinstance(objective, JEPAObjective):
        return None
    decoder = objective.decoder
    if decoder is not None and decoder.split is not None:
        decoder.tell_texts(distinct_targets(data, decoder.split), objective.embed_text)
    return JEPAParts(objective)


@contextmanager
def _forgetful(text_encoder: Any) -> Iterator[None]:
    """Put aside what a frozen text encoder remembers of the texts it has read."""
    memo = getattr(text_encoder, "memo", None)
    if memo is not None:
        text_encoder.memo = None
    try:
        yield
    finally:
        if memo is not None:
            text_encoder.memo = memo
