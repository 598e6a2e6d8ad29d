"""`PrefixLM`: a small causal language model that reads an embedding as a learned prefix and says its text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_vl.decoders.base import EmbedText, TextDecoder
from jepa_vl.decoders.trained import build_decoder, read_decoder_run
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.language.base import LanguageModel
from jepa_vl.language.beam import beam
from jepa_vl.language.greedy import greedy
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.prefix import read_prefix
from jepa_vl.sample import TextTokens

#: Texts whose embeddings tell one space from another.
PROBES = ("yes", "the red ball", "a person opens a door", "what happens next?", "1, 2, 3")
#: Least cosine of each probe with where it was. A space that merely runs on another machine or in another
#: precision keeps above it; another run's head, even from the same recipe with another seed, is near 0.
SAME_SPACE = 0.98
ROWS_AT_ONCE = 128  # embeddings decoded at once; with beams, so many divided by them


class PrefixLM(TextDecoder):
    """Says what an embedding stands for: E numbers → P positions of a causal language model → its text.

    A unit embedding goes through one linear map to the P embeddings that the language model reads first
    (the way of ClipCap, arXiv 2111.09734; the paper does not say what its Y-Decoder is). It is trained on
    texts alone by the objective `decoder`, and used by others through ``weights``, the folder of that run.

    Args:
        language_model: Says the text; SmolLM2 by default.
        prefix_length: P, positions that an embedding becomes.
        freeze: Train the prefix alone, and leave the language model as it is.
        weights: Run of the objective `decoder` (``runs/NAME``), or its checkpoint, to take everything from;
            ``language_model``, ``prefix_length`` and ``freeze`` are that run's.
        embed_dim: E of a trained decoder that gets its weights after it is built, as that of an exported
            model does; leave it out to train one.
        beams: Width of the beam search; 1 is greedy.
        max_new_tokens: Longest text, in tokens of the language model.

    Raises:
        RecipeError: A language model or a width is given beside weights, there are no such weights, or a
            number is less than 1.
    """

    space: Tensor
    prefix: nn.Linear
    forward_methods = ("token_states", "decode")

    def __init__(
        self,
        *,
        language_model: LanguageModel | None = None,
        prefix_length: int = 8,
        freeze: bool = False,
        weights: str | None = None,
        embed_dim: int | None = None,
        beams: int = 1,
        max_new_tokens: int = 32,
    ) -> None:
        super().__init__(frozen=weights is not None or embed_dim is not None)
        counts = {"prefix_length": prefix_length, "beams": beams, "max_new_tokens": max_new_tokens}
        for name, value in {**counts, "embed_dim": embed_dim}.items():
            if value is not None and value < 1:
                raise RecipeError(f"decoder.{name} must be at least 1, found {value}")
        if weights is not None and language_model is not None:
            raise RecipeError(
                "decoder.weights brings its own language model; leave out decoder.language_model, or weights"
            )
        if weights is not None and embed_dim is not None:
            raise RecipeError("decoder.weights brings its own width; leave out decoder.embed_dim, or weights")
        self.weights = weights
        self.beams = beams
        self.max_new_tokens = max_new_tokens
        if weights is None:
            self.language_model = HFCausalLM() if language_model is None else language_model
            self.prefix_length = prefix_length
            if embed_dim is not None:
                self.connect(torch.zeros(len(PROBES), embed_dim))
            elif freeze:
                self.freeze_part(self.language_model)
        else:
            trained = _of_run(weights)
            self.language_model = trained.language_model
            self.prefix_length = trained.prefix_length
            self.prefix = trained.prefix
            self.register_buffer("space", trained.space)
        if self.frozen:
            self.requires_grad_(False)
            self.eval()

    def connect(self, space: Tensor) -> None:
        """Make the prefix for a space, in which the `PROBES` lie at ``[probes, E]``. Called once to train."""
        self.register_buffer("space", space.detach().float())
        # of unit variance each, as layers expect their inputs, an embedding's entries are √E times larger
        self.prefix = nn.Linear(space.shape[1], self.prefix_length * self.language_model.dim)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Turn unit embeddings ``[B, E]`` to the language model's first input ``[B, P, d]``."""
        entries = F.normalize(embeddings.float(), dim=-1) * embeddings.shape[-1] ** 0.5
        return self.prefix(entries.to(self.prefix.weight.dtype)).unflatten(1, (self.prefix_length, -1))

    def token_states(self, embeddings: Tensor, target: TextTokens) -> Tensor:
        """States ``[n, d]`` that predict the n real tokens of target ``[B, L]``, row by row."""
        prefix = self(embeddings)  # [B, P, d]
        said = self.language_model.embed(target.ids[:, :-1])  # [B, L - 1, d]; the last predicts nothing
        mask = torch.cat((target.mask.new_ones(prefix.shape[:2]), target.mask[:, :-1]), dim=1)
        states, _ = self.language_model(torch.cat((prefix, said), dim=1), mask)
        return states[:, self.prefix_length - 1 :][target.places]

    @torch.no_grad()
    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Say the text of each of the embeddings ``[B, E]``, of any norm.

        Raises:
            UserError: It is not trained, or was trained for embeddings of another width.
        """
        self._check_width(embeddings.shape[-1])
        longest = max_new_tokens or self.max_new_tokens
        texts: list[str] = []
        for block in embeddings.split(max(1, ROWS_AT_ONCE // self.beams)):
            start = self(block)  # [b, P, d]
            read = read_prefix(self.language_model, start, start.new_ones(start.shape[:2], dtype=torch.bool))
            if self.beams == 1:
                texts += greedy(self.language_model, read, max_new_tokens=longest)
            else:
                found = beam(self.language_model, read, width=self.beams, max_new_tokens=longest)
                texts += [text for text, _ in found]
        return texts

    @torch.no_grad()
    def check_space(self, embed_text: EmbedText) -> None:
        """Refuse the space of another text encoder than the one it was trained for.

        Raises:
            UserError: The `PROBES` lie elsewhere than in training.
        """
        here = embed_text(PROBES)  # [probes, E]
        self._check_width(here.shape[1])
        cosine = F.cosine_similarity(here.float(), self.space.to(here.device), dim=-1).min()
        if cosine < SAME_SPACE:
            raise UserError(
                f"{self._name} was trained for another text encoder: the same text has embeddings of "
                f"cosine {cosine:.2f} there and here, where at least {SAME_SPACE} was expected; train a "
                "decoder for it with `jepa-vl fit --config recipes/decoder.yaml --objective.model RUN`"
            )

    def _check_width(self, width: int) -> None:
        if not hasattr(self, "prefix") or not self.space.any():
            raise UserError(
                "decoder 'prefix_lm' is not trained: train one with `jepa-vl fit --config "
                "recipes/decoder.yaml`, and name its run as decoder.weights"
            )
        if width != self.space.shape[1]:
            raise UserError(
                f"{self._name} was trained for {self.space.shape[1]}-d embeddings, and these are {width}-d; "
                "was it trained for another model?"
            )

    @property
    def _name(self) -> str:
        return "decoder 'prefix_lm'" + (f" of {self.weights}" if self.weights else "")


def _of_run(weights: str) -> PrefixLM:
    """Build the decoder of a run of the objective `decoder`, with what it has learned."""
    try:
        run = read_decoder_run(weights)
        decoder = build_decoder(run)
    except RecipeError as error:
        raise RecipeError(f"decoder.weights: {error}") from error
    if not isinstance(decoder, PrefixLM):
        raise RecipeError(f"decoder.weights: {weights} holds a {type(decoder).__name__}, not a PrefixLM")
    decoder.connect(run.state["space"])
    decoder.load_state_dict(run.state)
    return decoder
