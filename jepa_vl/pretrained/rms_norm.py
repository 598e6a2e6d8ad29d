"""Root-mean-square norms of transformers' models by torch's own, which a GPU does in one kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MULTIPLY_ROUNDED = {  # the weight multiplies what has been rounded to the input's format
    "LlamaRMSNorm",
    "MistralRMSNorm",
    "Qwen2RMSNorm",
    "Qwen3RMSNorm",
    "SmolLM3RMSNorm",
}
_ADD_ONE = {"GemmaRMSNorm", "Gemma2RMSNorm", "Gemma3RMSNorm"}  # the weight is a difference to 1


class RMSNorm(nn.Module):
    """``x / √(mean x² + eps)`` times the weight, in float32 inside.

    transformers writes it out in seven operations, whose results are kept for the backward pass. In
    float32 values and gradients are equal to the last bit.

    Args:
        norm: One of transformers, whose weight this takes over.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight: nn.Parameter = norm.weight
        self.adds_one = type(norm).__name__ in _ADD_ONE
        self.eps: float = norm.eps if self.adds_one else norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Norm ``[…, d]`` over its last dimension; of the format that transformers gives."""
        weight = self.weight.float()
        if self.adds_one:
            return F.rms_norm(x.float(), weight.shape, 1.0 + weight, self.eps).type_as(x)
        normed = F.rms_norm(x.float(), weight.shape, weight, self.eps)
        return normed.to(torch.promote_types(self.weight.dtype, x.dtype))


def fuse_norms(model: nn.Module) -> None:
    """Put `RMSNorm` in place of a model's own; names of weights stay, and kinds not known as well."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child).__name__ in _MULTIPLY_ROUNDED | _ADD_ONE:
                setattr(module, name, RMSNorm(child))
