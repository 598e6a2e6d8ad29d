"""Which tensors live at once: the most bytes that a piece of work holds, by the part that made them."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of what is made under it and still used.

    Attributes:
        peak: The most bytes that lived at once.
        at_peak: By part, who had made them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.at_peak: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._known: set[int] = set()
        self._parts: list[str] = ["step"]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note what comes out."""
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor):
                self._note(value)
        return result

    def leave_out(self, tensors: Iterator[Tensor]) -> None:
        """Do not count these."""
        self._known |= {id(tensor.untyped_storage()) for tensor in tensors}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Have what is made here be of a part."""
        self._parts.append(name)
        try:
            yield
        finally:
            self._parts.pop()

    @contextmanager
    def parts(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Have what is made in the forward of a module be of the part of its name."""
        handles = []
        for name, module in modules.items():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._parts.append(name)))
            handles.append(module.register_forward_hook(lambda *_: self._leave()))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self) -> None:
        self._parts.pop()

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known:
            return
        size, part = storage.nbytes(), self._parts[-1]
        self._known.add(key)
        self._now[part] += size
        weakref.finalize(storage, self._gone, key, part, size)
        total = self._now.total()
        if total > self.peak:
            self.peak, self.at_peak = total, self._now.copy()

    def _gone(self, key: int, part: str, size: int) -> None:
        self._known.discard(key)
        self._now[part] -= size
