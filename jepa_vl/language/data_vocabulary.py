"""The last layer of a language model that can say the tokens of its data, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from jepa_vl.errors import RecipeError


class DataVocabulary(nn.Linear):
    """States ``[..., d]`` → scores ``[..., W]`` of the W tokens that it was told of.

    The ids are in its state: a checkpoint is loaded whatever it was told of before. A token keeps its row
    when more are told.

    Args:
        dim: d.
        tokens: Number of the tokenizer's tokens, of which W can be said.
        end_id: The token that ends a text, which can always be said.
    """

    ids: Tensor  # int64 [W], ascending
    place: Tensor  # int64 [tokens], -1 where a token cannot be said

    def __init__(self, dim: int, tokens: int, *, end_id: int) -> None:
        super().__init__(dim, 1)
        self.register_buffer("ids", torch.tensor([end_id]))
        self.register_buffer("place", torch.full((tokens,), -1), persistent=False)
        self.place[end_id] = 0
        self.register_load_state_dict_pre_hook(_as_in_state)

    def include(self, ids: Iterable[int]) -> None:
        """Learn to say further tokens; their rows begin at random. Call it before there is an optimizer."""
        wanted = torch.tensor(sorted({*self.ids.tolist(), *ids}), device=self.ids.device)
        if len(wanted) > len(self.ids):
            before = self.place[wanted]  # [W], -1 where it is new
            known = before >= 0
            weight, bias = self.weight.data[before[known]], self.bias.data[before[known]]
            self.resize(wanted)
            self.weight.data[known], self.bias.data[known] = weight, bias

    def resize(self, ids: Tensor) -> None:
        """Take these W ids in place of the present ones, and rows that begin at random."""
        like: dict[str, Any] = {"device": self.weight.device, "dtype": self.weight.dtype}
        self.ids = ids.to(self.ids)
        self.place = torch.full_like(self.place, -1)
        self.place[self.ids] = torch.arange(len(ids), device=self.place.device)
        self.out_features = len(ids)
        self.weight = nn.Parameter(torch.empty(len(ids), self.in_features, **like))
        self.bias = nn.Parameter(torch.empty(len(ids), **like))
        self.reset_parameters()

    def forward(self, states: Tensor) -> Tensor:
        """Score the tokens at their places.

        Raises:
            RecipeError: It was told of no tokens.
        """
        self.check_told()
        return super().forward(states)

    def check_told(self) -> None:
        """Refuse to say anything before there is anything to say.

        Raises:
            RecipeError: It was told of no tokens.
        """
        if self.out_features == 1:
            raise RecipeError(
                "language_model.vocabulary is 'data', and there are no data that say which tokens: only the "
                "objective token, trained on a data module, tells them; expected 'all' here"
            )


def _as_in_state(module: DataVocabulary, state: dict[str, Any], prefix: str, *_: Any) -> None:
    ids = state.get(f"{prefix}ids")
    if ids is not None and not torch.equal(ids.to(module.ids), module.ids):
        module.resize(ids)
