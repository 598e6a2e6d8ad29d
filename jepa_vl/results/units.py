"""How numbers are printed, by the unit of their metric; every table uses this."""

from __future__ import annotations

from dataclasses import dataclass

from jepa_vl.tasks.base import Unit


@dataclass(frozen=True)
class Printing:
    """How a stored value becomes text.

    Attributes:
        scale: What it is multiplied by.
        digits: Decimals that are shown.
        sign: What stands behind it.
        said: What a note says of it.
    """

    scale: float
    digits: int
    sign: str
    said: str


PRINTING: dict[Unit, Printing] = {
    "percent": Printing(100, 1, " %", "in %"),
    "points": Printing(100, 1, "", "× 100"),
    "number": Printing(1, 3, "", "as it is"),
    "rank": Printing(1, 1, "", "as a rank"),
}


def number(value: float, unit: Unit) -> str:
    """Return the value without a sign; one more decimal for percents that one decimal would hide."""
    how = PRINTING[unit]
    shown = how.scale * value
    if unit == "rank" and shown == int(shown):
        return f"{shown:g}"
    small = unit == "percent" and 0 < abs(shown) < 1
    return f"{shown:.{how.digits + small}f}"


def quantity(value: float, unit: Unit) -> str:
    """Return the value with its sign, such as ``25.0 %``."""
    return number(value, unit) + PRINTING[unit].sign


def difference(value: float, unit: Unit) -> str:
    """Return a difference of two values, always with plus or minus."""
    how = PRINTING[unit]
    return f"{how.scale * value:+.{how.digits}f}"
