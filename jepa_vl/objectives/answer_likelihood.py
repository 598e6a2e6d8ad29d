"""How likely a vision-language model of transformers finds answers: prompt and frames are read once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput

from jepa_vl.language.hf_cache import cache_argument, cache_of

#: Answers scored in one pass; each of them takes a copy of the prompt's cache.
ANSWERS_AT_ONCE = 32
NO_TOKEN = -100


@torch.no_grad()
def answer_likelihoods(model: Any, inputs: Any, answers: Sequence[Sequence[int]]) -> Tensor:
    """Mean log-likelihood a token of K answers to one prompt.

    Args:
        model: A model for image and text to text: a decoder, or an encoder and a decoder.
        inputs: What its processor made of the frames and the prompt, a batch of one.
        answers: Ids of each, its end token included; one without any scores -∞.

    Returns:
        ``[K]``, in float32.
    """
    device = inputs["input_ids"].device
    scores = torch.full((len(answers),), -torch.inf, device=device)
    filled = [i for i, ids in enumerate(answers) if ids]
    read = _Read(model, inputs) if filled else None
    for start in range(0, len(filled), ANSWERS_AT_ONCE):
        block = filled[start : start + ANSWERS_AT_ONCE]
        rows = [torch.tensor(list(answers[i]), device=device) for i in block]
        ids = pad_sequence(rows, batch_first=True, padding_value=NO_TOKEN)  # [m, L]
        assert read is not None
        logits = read.logits(ids)  # [m, L, V]
        losses = F.cross_entropy(logits.float().mT, ids, ignore_index=NO_TOKEN, reduction="none")  # [m, L]
        scores[block] = -losses.sum(dim=1) / (ids != NO_TOKEN).sum(dim=1)
    return scores


class _Read:
    """A prompt that was read: by a decoder into its cache, by an encoder into its states."""

    def __init__(self, model: Any, inputs: Any) -> None:
        self.inputs = inputs
        self.speaker = model
        own: Any = getattr(model, "language_model", None)
        self.by_encoder = bool(getattr(getattr(own, "config", None), "is_encoder_decoder", False))
        if self.by_encoder:
            begin = torch.full_like(inputs["input_ids"][:, :1], own.config.decoder_start_token_id)
            said = model(**inputs, decoder_input_ids=begin)
        else:
            said = model(**inputs, use_cache=True)
        # InstructBLIP keeps what its language model returned apart, and only that goes on without an image
        inner = getattr(said, "language_model_outputs", None)
        if inner is not None:
            self.speaker, said = own, inner
        if self.by_encoder:
            self.states = said.encoder_last_hidden_state  # [1, P, d]
        else:
            self.cache, self.first = cache_of(said), said.logits[:, -1:]  # [1, 1, V]

    def logits(self, ids: Tensor) -> Tensor:
        """Logits ``[m, L, V]``, each at the place of the token of ``ids`` ``[m, L]`` that it is about."""
        count, length = ids.shape
        if self.by_encoder:
            return self.speaker(
                encoder_outputs=BaseModelOutput(last_hidden_state=self.states.expand(count, -1, -1)),
                attention_mask=self.inputs["attention_mask"].expand(count, -1),
                labels=ids,
            ).logits
        first = self.first.expand(count, -1, -1)
        if length == 1:
            return first
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(count)
        # padding is on the right, where nothing real looks at it: no mask is needed
        words = cache_argument(self.speaker, cache)
        said = self.speaker(input_ids=ids[:, :-1].clamp(min=0), use_cache=True, **words)
        return torch.cat((first, said.logits), dim=1)
