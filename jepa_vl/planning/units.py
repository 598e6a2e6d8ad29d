"""Numbers for people: bytes, counts and hours in the unit that suits them."""

from __future__ import annotations

#: Units, largest first.
BYTES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
COUNTS = (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))


def in_bytes(count: float) -> str:
    """Return ``1.5 GiB``; nothing for none."""
    unit, size = next((pair for pair in BYTES if count >= pair[1]), BYTES[-1])
    return f"{count / size:,.1f} {unit}" if count else ""


def in_counts(count: float) -> str:
    """Return ``1.50 G``; nothing for none."""
    unit, size = next((pair for pair in COUNTS if count >= pair[1]), COUNTS[-1])
    return f"{count / size:,.2f} {unit}" if count else ""


def in_time(hours: float) -> str:
    """Return days from 48 hours on, and seconds below one."""
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 3600:,.3g} seconds"
