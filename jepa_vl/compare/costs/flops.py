"""Floating-point operations, counted by the shapes of what torch multiplies."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

aten: Any = torch.ops.aten
Shape = tuple[int, ...]


def count_flops(work: Callable[[], object]) -> int:
    """Run ``work`` and return its floating-point operations, two for each multiplication with addition.

    Counted are products of matrices and vectors, convolutions and attention, forward and backward, on any
    device and in any precision. Attention counts as if no position were masked, and its backward pass as
    twice its forward pass on every machine: what some kernels compute a second time to save memory is left
    out. Not counted are what is done number by number (norms, activations, softmax, dropout,
    rotations), looking up embeddings, which multiplies nothing, recurrent layers (LSTM, GRU), and the
    optimizer's step.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    # torch's own kernel for a whole attention layer, used at inference, has no formula
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            work()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops())


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return 2 * int(sdpa_flop_count(query, key, value))


def _added_product(total: Shape, left: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(left) * right[-1]


def _dot(left: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(left)


#: What torch counts not at all, or not alike on all machines.
FORMULAS = {
    aten.addmm_: _added_product,
    aten.mv: _dot,
    aten.dot: _dot,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten._scaled_dot_product_flash_attention_backward: _attention_backward,
    aten._scaled_dot_product_efficient_attention_backward: _attention_backward,
    aten._scaled_dot_product_cudnn_attention_backward: _attention_backward,
}
