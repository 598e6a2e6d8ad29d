"""What annotated streams are made of: their number, length and times."""

from __future__ import annotations

from dataclasses import dataclass

from jepa_vl.errors import RecipeError
from jepa_vl_babyai.settings import SPLITS

#: Raised by one whenever the same settings give other streams, so that caches of them are not reused.
STREAM_VERSION = 1

STREAM_SPLITS = SPLITS[:3]  # held-out combinations occur in none of them
FPS = 4  # steps of the world in a second
FRAMES = 4  # of a window: as many as a clip has
WINDOW = FRAMES / FPS  # seconds
STRIDE = 0.5  # seconds from one window to the next


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """Everything the rendered streams depend on, besides `STREAM_VERSION`.

    Attributes:
        seed: Of all randomness.
        train_streams: Streams of split `train`.
        val_streams: Streams of split `val`.
        test_streams: Streams of split `test`.
        shortest: Seconds of the shortest stream.
        longest: Seconds of the longest one; the errand that is under way then is done first.
        view: Height and width of what is seen, in cells.
        tile: Height and width of a cell, in pixels.

    Raises:
        RecipeError: A number is too small.
    """

    seed: int = 0
    train_streams: int = 120
    val_streams: int = 20
    test_streams: int = 100
    shortest: float = 120.0
    longest: float = 240.0
    view: int = 8
    tile: int = 8

    def __post_init__(self) -> None:
        for name, least in (("train_streams", 1), ("shortest", 10), ("view", 5), ("tile", 4)):
            if getattr(self, name) < least:
                raise RecipeError(f"data.{name} must be at least {least}, found {getattr(self, name)}")
        for split in STREAM_SPLITS:
            if self.streams(split) < 0:
                raise RecipeError(f"data.{split}_streams must not be negative, found {self.streams(split)}")
        if self.longest < self.shortest:
            raise RecipeError(
                f"data.longest ({self.longest:g} s) must not be below data.shortest ({self.shortest:g} s)"
            )

    def streams(self, split: str) -> int:
        """Return how many streams ``split`` has."""
        return int(getattr(self, f"{split}_streams"))

    @property
    def total(self) -> int:
        """Streams of all splits."""
        return sum(map(self.streams, STREAM_SPLITS))
