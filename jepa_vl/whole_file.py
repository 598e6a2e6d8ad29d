"""Files that appear whole or not at all, whoever reads or kills whom meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a file beside ``path``, to be written, that takes its place at the end of the block.

    Of several processes that write at once, the last one's file stays. Where writing fails nothing is left
    behind, and ``path`` is what it was.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text, in UTF-8.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
