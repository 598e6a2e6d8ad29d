"""Token embeddings of a pretrained model, kept frozen, and a linear projection to another width."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import AutoModel

from jepa_vl.pretrained.models import load_model


class TokenEmbedding(nn.Module):
    """The word-embedding table of a Hugging Face model behind a trainable projection (Fig. 2).

    Args:
        model: Hub name, local folder, or registered weights name.
        dim: Width d of the output.
    """

    def __init__(self, *, model: str, dim: int) -> None:
        super().__init__()
        self.table: nn.Embedding = load_model(model, AutoModel).get_input_embeddings()
        self.table.requires_grad_(False)
        self.projection = nn.Linear(self.table.embedding_dim, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed ids ``[B, L]`` to ``[B, L, d]``."""
        return self.projection(self.table(ids))
