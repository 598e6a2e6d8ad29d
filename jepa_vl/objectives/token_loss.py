"""Next-token cross-entropy: the loss of the objectives that train a language model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jepa_vl.distributed import sum_ranks, world
from jepa_vl.language.base import LanguageModel
from jepa_vl.language.linear_cross_entropy import TokenLosses


class TokenLoss(nn.Module):
    """-log p, averaged over the tokens of the global batch, each of which counts the same.

    A part without parameters, so that what it takes can be told from what the language model takes.
    """

    def forward(
        self, language_model: LanguageModel, states: Tensor, ids: Tensor, *, likeliest: bool = False
    ) -> tuple[Tensor, TokenLosses]:
        """Return the loss, and what each of the n local tokens costs.

        Args:
            language_model: Turns states to scores.
            states: ``[n, d]``, each the state that predicts the token at its place.
            ids: int64 ``[n]``.
            likeliest: Whether the places of the highest scores are wanted.
        """
        losses = language_model.token_losses(states, ids, likeliest=likeliest)
        # however the tokens are spread over ranks
        count = torch.full((), float(len(ids)), device=ids.device, dtype=torch.float32)
        tokens = sum_ranks(count) / world().size
        return losses.total / tokens, losses
