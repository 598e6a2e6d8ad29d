"""Reading ahead in a thread: a source that stalls is noticed, and a live one is not kept waiting."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

from jepa_vl.errors import UserError

T = TypeVar("T")


class Background(Generic[T]):
    """Iterates in a thread and keeps the newest items until they are asked for.

    Args:
        items: What to iterate over; the thread closes it.
        capacity: How many items wait at most.
        drop: Whether the oldest item makes room for a new one; otherwise the new one waits.
        timeout: Seconds without an item after which it has stalled.
        name: Of the source, for the message.

    Attributes:
        dropped: Items that made room.
    """

    def __init__(self, items: Iterable[T], *, capacity: int, drop: bool, timeout: float, name: str) -> None:
        self.dropped = 0
        self._waiting: deque[T] = deque()
        self._capacity, self._drop, self._timeout, self._name = capacity, drop, timeout, name
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._done = self._closed = False
        self._thread = threading.Thread(target=self._read, args=(iter(items),), daemon=True)
        self._thread.start()

    def batches(self, most: int) -> Iterator[list[T]]:
        """Yield the items in lists of those that wait, one or more and up to ``most``.

        Raises:
            UserError: There was none for as long as the timeout.
        """
        while True:
            with self._changed:
                ready = self._changed.wait_for(lambda: self._waiting or self._done, self._timeout)
                if self._waiting:
                    several = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
                    self._changed.notify_all()
                elif not ready:
                    raise UserError(f"'{self._name}' stalled: nothing came for {self._timeout:g} s")
                elif self._error is not None:
                    raise self._error
                else:
                    return
            yield several

    def close(self) -> None:
        """Let the thread end, once it has the item that it waits for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _read(self, items: Iterator[T]) -> None:
        try:
            for item in items:
                with self._changed:
                    if not self._drop:
                        self._changed.wait_for(lambda: len(self._waiting) < self._capacity or self._closed)
                    if self._closed:
                        break
                    if len(self._waiting) >= self._capacity:
                        self._waiting.popleft()
                        self.dropped += 1
                    self._waiting.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # raised again where items are asked for
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()
            with self._changed:
                self._done = True
                self._changed.notify_all()
