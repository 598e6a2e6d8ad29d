"""What the data is made of: its words, its sizes, and the combinations held out for `novel`."""

from __future__ import annotations

from dataclasses import dataclass

from jepa_vl.errors import RecipeError

#: Raised by one whenever the same settings give other data, so that caches of it are not reused.
GENERATOR_VERSION = 3

COLOURS = ("blue", "green", "grey", "purple", "red", "yellow")
PORTABLE = ("ball", "box", "key")

#: Verb → kinds of things it can be done to.
VERBS: dict[str, tuple[str, ...]] = {
    "go to": (*PORTABLE, "door"),
    "pick up": PORTABLE,
    "drop": PORTABLE,
    "put next to": PORTABLE,
    "open": ("door",),
    "close": ("door",),
}

SPLITS = ("train", "val", "test", "novel")

EventClass = tuple[str, str, str]  # verb, colour, kind

#: Event classes of split `novel`; none of them occurs in another split.
HELD_OUT: frozenset[EventClass] = frozenset(
    {
        ("go to", "yellow", "box"),
        ("go to", "blue", "door"),
        ("pick up", "purple", "ball"),
        ("pick up", "grey", "key"),
        ("drop", "green", "box"),
        ("drop", "red", "key"),
        ("put next to", "blue", "ball"),
        ("open", "purple", "door"),
    }
)

ALL_CLASSES: tuple[EventClass, ...] = tuple(
    (verb, colour, kind) for verb, kinds in VERBS.items() for kind in kinds for colour in COLOURS
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the rendered data depends on, besides `GENERATOR_VERSION`.

    Attributes:
        seed: Of all randomness; equal settings give equal bytes.
        train_clips: Clips of split `train`; each brings a caption, its class and four questions.
        val_clips: Clips of split `val`.
        test_clips: Clips of split `test`.
        novel_clips: Clips of split `novel`, the held-out combinations.
        num_frames: Frames of a clip, one step of the world apart.
        view: Height and width of what is seen, in cells.
        tile: Height and width of a cell, in pixels.

    Raises:
        RecipeError: A number is too small.
    """

    seed: int = 0
    train_clips: int = 6000
    val_clips: int = 300
    test_clips: int = 600
    novel_clips: int = 200
    num_frames: int = 4
    view: int = 8
    tile: int = 8

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 2), ("view", 3), ("tile", 4), ("train_clips", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"data.{name} must be at least {least}, found {getattr(self, name)}")
        for split in SPLITS:
            if self.clips(split) < 0:
                raise RecipeError(f"data.{split}_clips must not be negative, found {self.clips(split)}")

    def clips(self, split: str) -> int:
        """Return how many clips ``split`` has."""
        return int(getattr(self, f"{split}_clips"))

    def classes(self, split: str) -> tuple[EventClass, ...]:
        """Return the event classes of ``split``: the held-out ones in `novel`, the others elsewhere."""
        return tuple(c for c in ALL_CLASSES if (c in HELD_OUT) == (split == "novel"))
