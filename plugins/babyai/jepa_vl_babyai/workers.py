"""Tasks on several processes, or on this one."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Processes that do tasks, or this process when there is one only. Use it in a ``with``."""

    def __init__(self, workers: int) -> None:
        self.ahead = 4 * workers if workers > 1 else 0  # tasks worth starting before they are needed
        # spawned, for the caller may have threads; they import neither torch nor lightning
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else None
        self._kept: deque[Future[Any]] = deque()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a task."""
        if self._pool is not None:
            return self._pool.submit(task, *args, **kwargs)
        done: Future[T] = Future()
        done.set_result(task(*args, **kwargs))
        return done

    def keep(self, task: Future[Any]) -> None:
        """Remember a task whose failure matters, until `drain` looks at it."""
        self._kept.append(task)

    def drain(self, left: int) -> None:
        """Wait until at most ``left`` kept tasks are under way; raise what any of the others raised."""
        while len(self._kept) > left:
            self._kept.popleft().result()
