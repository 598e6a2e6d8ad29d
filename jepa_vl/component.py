"""What every swappable part has in common: it can be frozen, and it says at what rate it learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from lightning import LightningModule
from torch import nn


class Component(LightningModule):
    """A part of an objective. Only the objective logs; a component returns what is worth logging.

    A frozen component stays in eval mode whatever Lightning asks for, holds no gradient, and is left
    out of the optimizer.

    Attributes:
        forward_methods: Methods besides ``forward`` that compute with its weights; where these are sharded,
            they are gathered for them too.
    """

    forward_methods: tuple[str, ...] = ()

    def __init__(self, *, frozen: bool = False) -> None:
        super().__init__()
        self.frozen = frozen

    def freeze_part(self, part: nn.Module) -> None:
        """Freeze one submodule for good: no gradient, always in eval mode."""
        part.requires_grad_(False)
        part.eval()
        self._frozen_parts = [*getattr(self, "_frozen_parts", []), part]

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for what is frozen."""
        super().train(mode and not self.frozen)
        for part in getattr(self, "_frozen_parts", []):
            part.train(False)
        return self

    def parameter_groups(self) -> Iterator[tuple[float, list[nn.Parameter]]]:
        """Yield (learning-rate multiplier, trainable parameters); together they cover every one once."""
        yield 1.0, [p for p in self.parameters() if p.requires_grad]
