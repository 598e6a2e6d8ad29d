"""The nearest text of a bank: a decoder without weights, for closed sets of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_vl.decoders.base import EmbedText, TextDecoder
from jepa_vl.errors import UserError


class NearestText(TextDecoder):
    """Says the text of its bank whose embedding has the largest cosine with the predicted one.

    The bank is made anew before each evaluation and prediction, of the distinct targets of a split; or
    `set_bank` makes it. Of equally near texts the first is said.

    Args:
        split: Split of the data whose targets the bank holds.

    Example:
        >>> decoder = NearestText()
        >>> decoder.set_bank(["up", "right"], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> decoder.decode(torch.tensor([[0.9, 0.1]]))
        ['right']
    """

    embeddings: Tensor

    def __init__(self, *, split: str = "train") -> None:
        super().__init__(frozen=True)
        self.split = split
        self.texts: list[str] = []
        # not persistent: its size is not known when a checkpoint is loaded, see `get_extra_state`
        self.register_buffer("embeddings", torch.zeros(0, 0), persistent=False)

    @torch.no_grad()
    def set_bank(self, texts: Sequence[str], embeddings: Tensor) -> None:
        """Take K texts and their embeddings ``[K, E]``, of any norm, in place of the present bank.

        Raises:
            ValueError: Another number of texts than of embeddings.
        """
        if embeddings.ndim != 2 or len(texts) != len(embeddings):
            raise ValueError(
                f"{len(texts)} texts need embeddings [{len(texts)}, E], got {[*embeddings.shape]}"
            )
        self.texts = list(texts)
        self.embeddings = F.normalize(embeddings.detach().float(), dim=-1).to(self.embeddings.device)

    def tell_texts(self, texts: Sequence[str], embed_text: EmbedText) -> None:
        """Make the bank of K texts."""
        self.set_bank(texts, embed_text(texts))

    def check_texts(self) -> None:
        """Refuse an empty bank.

        Raises:
            UserError: It is empty.
        """
        if not self.texts:
            raise UserError(
                "decoder 'nearest' has an empty bank: give the texts that it chooses from (texts=[…] in "
                "Python, --texts in the shell)"
            )

    @torch.no_grad()
    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Return the nearest text for each of the embeddings ``[B, E]``; it is said whole.

        Raises:
            UserError: The bank is empty, or holds embeddings of another width.
        """
        self.check_texts()
        if embeddings.shape[-1] != self.embeddings.shape[-1]:
            raise UserError(
                f"decoder 'nearest' has a bank of {self.embeddings.shape[-1]}-d embeddings and was asked for "
                f"{embeddings.shape[-1]}-d ones; was it made with another model?"
            )
        # the norm of what is asked does not change which text is nearest
        with torch.autocast(embeddings.device.type, enabled=False):
            similarity = embeddings.float() @ self.embeddings.to(embeddings.device, torch.float32).T  # [B, K]
        return [self.texts[i] for i in similarity.argmax(dim=1).tolist()]

    def get_extra_state(self) -> dict[str, Any]:
        """Return the bank, for the checkpoint."""
        return {"texts": self.texts, "embeddings": self.embeddings}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the bank of a checkpoint."""
        self.set_bank(state["texts"], state["embeddings"])
