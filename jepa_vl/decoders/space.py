"""`TextSpace`: where a trained objective puts texts; frozen, and without its seeing parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jepa_vl.checkpoint import load_objective
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import EMBED
from jepa_vl.pretrained.weights import shapes_alone
from jepa_vl.transfer import send

MOST = 500_000  # texts remembered
#: Parts of an objective that have no say in where its texts lie.
NOT_FOR_TEXTS = ("vision_encoder", "predictor", "loss", "decoder")


class TextSpace:
    """K texts → unit vectors ``[K, E]``, each distinct text encoded once.

    No module, so that the objective which uses it neither trains nor saves the text encoder again.

    Args:
        model: Folder of a run (``runs/NAME``) or a checkpoint of an objective that embeds texts.

    Attributes:
        objective: What is left of that objective: its text encoder.

    Raises:
        RecipeError: The objective in it cannot embed.
        UserError: There is no such run.
    """

    def __init__(self, model: str) -> None:
        objective = load_objective(model)
        if EMBED not in objective.abilities:
            raise RecipeError(
                f"objective.model {model} is a {type(objective).__name__}, which has no embeddings to "
                "decode; expected a run of the objective jepa"
            )
        for name in NOT_FOR_TEXTS:
            if isinstance(getattr(objective, name, None), nn.Module):
                setattr(objective, name, None)
        self.objective = objective.requires_grad_(False)
        self._known: dict[str, Tensor] = {}  # on the CPU

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
        """Embed K texts: unit vectors ``[K, E]`` on a device, where the encoder is put as well."""
        if shapes_alone():
            width: Any = self.objective.embed_dim
            return torch.zeros(len(texts), width)
        fresh = list(dict.fromkeys(text for text in texts if text not in self._known))
        found: dict[str, Tensor] = {}
        if fresh:
            self.objective.to(device)
            with torch.autocast(torch.device(device).type, enabled=False):
                embedded = self.objective.embed_text(fresh).float().cpu()  # [fresh, E]
            found = dict(zip(fresh, embedded.unbind(0), strict=True))
            if len(self._known) + len(found) <= MOST:
                self._known.update(found)
        rows = [self._known[text] if text in self._known else found[text] for text in texts]
        return send(torch.stack(rows), torch.device(device))
