"""The contract of a text decoder (the paper's Y-Decoder, Ŝ_Y → Ŷ)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor

from jepa_vl.component import Component

#: K texts → unit vectors ``[K, E]`` of the space that is decoded from.
EmbedText = Callable[[Sequence[str]], Tensor]


class TextDecoder(Component):
    """Embeddings ``[B, E]`` → texts. Used at inference only, and only when text is wanted.

    Its weights are its own: a checkpoint of the objective that uses it does not hold them.

    Attributes:
        split: Split of the data whose target texts it is to be told before it decodes; None for none.
    """

    split: str | None = None

    @abstractmethod
    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Return one text for each of the B embeddings.

        Args:
            embeddings: ``[B, E]``.
            max_new_tokens: Longest text, in the decoder's own tokens; its own setting by default. A decoder
                that chooses among whole texts passes it over.
        """

    def check_space(self, embed_text: EmbedText) -> None:
        """Refuse embeddings of a space that it does not know; any space will do unless a decoder says so.

        Raises:
            UserError: It was made for another text encoder.
        """

    def tell_texts(self, texts: Sequence[str], embed_text: EmbedText) -> None:
        """Take texts to choose from: the distinct targets of `split` before each evaluation, or a user's.

        Most decoders have no use for them.
        """

    def check_texts(self) -> None:
        """Refuse to begin without the texts that it chooses from.

        Raises:
            UserError: It was told none, and has a use for them.
        """
