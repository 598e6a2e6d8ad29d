"""Running a model on shapes alone: no weights, no values, and every question about values answered alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

aten: Any = torch.ops.aten


@contextmanager
def shapes_only() -> Iterator[None]:
    """Let tensors have no values: a computation costs neither memory nor time, and says its shapes."""
    with FakeTensorMode(allow_non_fake_inputs=True), FullBatch(), fused_kernels():
        yield


def strip_values(
    module: nn.Module, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> None:
    """Put shapes in place of a module's parameters and buffers; those it shares stay shared.

    Args:
        module: On any device, the meta device too.
        dtype: Of its floating-point numbers; what they have by default.
        device: Where it is afterwards; for shapes alone it need not exist.
    """
    made: dict[int, Tensor] = {}
    for owner in module.modules():
        for table in (owner._parameters, owner._buffers):
            for name, tensor in table.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    made[id(tensor)] = _shape_of(tensor, dtype, device)
                table[name] = made[id(tensor)]  # type: ignore[assignment]


def _shape_of(tensor: Tensor, dtype: torch.dtype | None, device: torch.device | str) -> Tensor:
    kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    shape = torch.empty(tensor.shape, dtype=kind, device=device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(shape, requires_grad=tensor.requires_grad)
    return shape


class FullBatch(TorchDispatchMode):
    """Answers what depends on values as a full batch of distinct samples would: tensors here have none.

    A condition holds, so that every mask is full; a mask chooses every place; rows are distinct. This is
    the most that a step of these shapes can take.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer, or pass on."""
        answer = _ANSWERS.get(func)
        if answer is not None:
            return answer(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _true(func: Any, tensor: Tensor) -> bool | int | float:
    if tensor.dtype is torch.bool:
        return True
    return 1.0 if tensor.is_floating_point() else 1


def _every_place(func: Any, mask: Tensor) -> Tensor:
    return torch.zeros(mask.numel(), mask.ndim, dtype=torch.long, device=mask.device)


def _chosen(func: Any, tensor: Tensor, indices: list[Tensor | None], *rest: Any, **kwargs: Any) -> Any:
    """Index by places where there is a mask."""
    places: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype is torch.bool:
            places += [torch.zeros(index.numel(), dtype=torch.long, device=index.device)] * index.ndim
        else:
            places.append(index)
    return func(tensor, places, *rest, **kwargs)


def _distinct_rows(func: Any, tensor: Tensor, dim: int, *_: Any, **__: Any) -> tuple[Tensor, ...]:
    rows = torch.zeros(tensor.shape[dim], dtype=torch.long, device=tensor.device)
    return torch.empty_like(tensor), rows, rows.clone()


_ANSWERS: dict[Any, Callable[..., Any]] = {
    aten._local_scalar_dense.default: _true,
    aten.nonzero.default: _every_place,
    aten.index.Tensor: _chosen,
    aten.index_put.default: _chosen,
    aten.index_put_.default: _chosen,
    aten._index_put_impl_.default: _chosen,
    aten.unique_dim.default: _distinct_rows,
}


@contextmanager
def fused_kernels() -> Iterator[None]:
    """Have done in one piece, as on a GPU, what a CPU does in several, whose results are kept.

    That is attention without its matrix of scores, also where it drops some, and norms by root mean squares.
    """
    # not by a mode: a layer that is computed again in the backward pass does not see modes of functions
    found = {name: getattr(F, name) for name in ("scaled_dot_product_attention", "rms_norm")}
    attend = found["scaled_dot_product_attention"]

    def attention(*args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("dropout_p", None)  # which is all that keeps the CPU from it
        return attend(*args[:4], *((0.0, *args[5:]) if len(args) > 4 else ()), **kwargs)

    def norm(x: Tensor, shape: list[int], weight: Tensor | None = None, _: float | None = None) -> Tensor:
        return F.layer_norm(x, shape, weight)  # is one piece on a CPU too, and keeps as much

    try:
        _set(F, {"scaled_dot_product_attention": attention, "rms_norm": norm})
        yield
    finally:
        _set(F, found)


def _set(module: Any, functions: dict[str, Any]) -> None:
    for name, function in functions.items():
        setattr(module, name, function)
