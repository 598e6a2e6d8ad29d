"""What the operators over a similarity matrix say of a case, for whoever runs them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import jepa_vl.losses.log_sigmoid
import jepa_vl.losses.log_sum_exp  # noqa: F401  both register their operators


def run(case: dict[str, Any]) -> list[Tensor]:
    """Sums of a case, and gradients where it has those of the sums."""
    inputs, rest = case["inputs"], case["rest"]
    if case["operator"] == "negative_log_sigmoid":
        return list(torch.ops.jepa_vl.negative_log_sigmoid(*inputs, *rest))
    sums = torch.ops.jepa_vl.log_sum_exps(*inputs, *rest)
    if "grads" not in case:
        return list(sums[:4])
    first, chunk, _ = rest
    return [
        *sums[:4],
        *torch.ops.jepa_vl.log_sum_exps_backward(*case["grads"], *inputs, *sums[:2], sums[4], first, chunk),
    ]
