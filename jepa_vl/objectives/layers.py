"""The layers of an objective's trained parts: computed again in place of kept, compiled, or sharded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from jepa_vl.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class LayerSettings:
    """How the layers of what is trained are run. What is learned is the same, up to rounding.

    Args:
        checkpoint_activations: Keep of each layer only what goes in, and compute the rest again in the
            backward pass: a part of the memory, for a third more operations. Dropout drops the same.
        compile: Backend of torch.compile that the layers are compiled by, ``inductor`` say; None leaves
            them as they are. Batches of other shapes need no compiling anew.
    """

    checkpoint_activations: bool = False
    compile: str | None = None

    def __post_init__(self) -> None:
        if self.compile is not None and self.compile not in (known := torch.compiler.list_backends(None)):
            choices = ", ".join(sorted(known))
            raise RecipeError(f"objective.layers.compile: no backend '{self.compile}'; choose from {choices}")


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the members of the outermost module lists in a module: the blocks of a transformer."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from layers_of(child)


def trained_layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in which something is trained."""
    for layer in layers_of(module):
        if any(p.requires_grad for p in layer.parameters()):
            yield layer


def checkpoint_layers(module: nn.Module) -> None:
    """Have the trained layers computed again in the backward pass; their names stay as they are.

    A layer with batch norm is left out: its statistics would be counted twice.
    """
    for layer in trained_layers(module):
        if not any(isinstance(inner, _BatchNorm) for inner in layer.modules()):
            layer.forward = Checkpointed(layer.forward)


def compile_layers(module: nn.Module, backend: str) -> None:
    """Have the trained layers compiled when they are first called; their names stay as they are."""
    for layer in trained_layers(module):
        layer.forward = Compiled(layer.forward, backend)


class Checkpointed:
    """A layer's forward, without what it keeps for the backward pass. A copied layer's is its own."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer, again in the backward pass."""
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        return checkpoint(self.forward, *args, use_reentrant=False, **kwargs)


class Compiled:
    """A layer's forward, compiled for any shapes. A copied layer's is its own."""

    def __init__(self, forward: Callable[..., Any], backend: str) -> None:
        self.forward = forward
        self.backend = backend
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer; the first call compiles."""
        if self._compiled is None:
            self._compiled = torch.compile(self.forward, backend=self.backend, dynamic=True)
        return self._compiled(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(self.forward, memo), self.backend)
