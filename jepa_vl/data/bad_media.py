"""Media that cannot be read: counted over all worker processes, up to a limit, and reported."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from jepa_vl.data.records import SHOWN
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError


class BadMedia:
    """Counts media that could not be read, over all worker processes, up to a limit.

    Args:
        size: Number of samples that can be bad.
        limit: How many may be; one more is an error.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.limit = limit
        self.flags = torch.zeros(size, dtype=torch.bool).share_memory_()

    def add(self, index: int, error: MediaError) -> None:
        """Count a bad sample.

        Raises:
            UserError: There are more than the limit allows.
        """
        self.flags[index] = True
        if int(self.flags.sum()) > self.limit:
            raise too_many_bad([str(error)], int(self.flags.sum()), self.limit) from error

    def indices(self) -> list[int]:
        """Return the samples that were bad."""
        return self.flags.nonzero().flatten().tolist()


LIMIT = "'max_bad_media' of the recipe's data"


def too_many_bad(messages: Sequence[str], count: int, limit: int, *, key: str = LIMIT) -> UserError:
    """Return the error of a data set with more unreadable media than ``key`` allows."""
    shown = messages[:SHOWN]
    more = [f"and {count - len(shown):,} more"] if count > len(shown) else []
    if limit == 0:
        head = f"{count} clip(s) cannot be read; {key} allows none"
    else:
        head = f"{count} clips cannot be read; {key} allows {limit}"
    return UserError("\n  ".join([head, *shown, *more]))
