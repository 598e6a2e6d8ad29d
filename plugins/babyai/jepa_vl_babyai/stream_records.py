"""A stream's samples: windows with texts to train on, annotations and wordless windows to evaluate on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jepa_vl.data.windows import STREAM, with_windows
from jepa_vl.sample import Sample
from jepa_vl_babyai.captions import caption, meaning
from jepa_vl_babyai.stream_settings import FPS, FRAMES, STRIDE, WINDOW, StreamSettings
from jepa_vl_babyai.streams import CUT, TURN, WAIT, WALK, Happening, Story

BACKGROUND = "background"
EVENTS_FOR_A_QUIET_WINDOW = 2  # windows with an event in training, for one without

#: What a window without an event shows, in some ways.
_QUIET: dict[str, tuple[str, ...]] = {
    WALK: ("the agent walks", "the agent walks about", "the agent moves on"),
    TURN: ("the agent turns", "the agent turns on the spot", "the agent looks around"),
    WAIT: ("the agent waits", "the agent stands still", "the agent does nothing"),
    CUT: ("the scene changes", "another place is shown"),
}


def media(split: str, number: int) -> str:
    """Path of a stream's video, relative to the manifest."""
    return f"streams/{split}/{number:04d}.mp4"


def stream_samples(story: Story, settings: StreamSettings, split: str, number: int) -> list[Sample]:
    """Return the samples of stream ``number`` of a split.

    `train` has windows with texts, `test` annotations and wordless windows, and `val` all of them.
    """
    rng = np.random.default_rng([settings.seed, *split.encode(), number])
    lessons = list(_lessons(story, split, number, rng)) if split != "test" else []
    if split == "train":
        return lessons
    annotations = list(_annotations(story, split, number, rng))
    length = {media(split, number): story.seconds}
    return [*lessons, *with_windows(annotations, length, lengths=[WINDOW], stride=STRIDE)]


def _annotations(story: Story, split: str, number: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Yield every event with its second, in the window that has it in its middle."""
    for i, happening in enumerate(story.happenings):
        first = happening.event.step - FRAMES // 2 + 1
        yield _sample(
            split,
            number,
            f"event-{i:03d}",
            first,
            kind=STREAM,
            timestamps=(happening.second,),
            **_said(story, happening, first, rng),
        )


def _lessons(story: Story, split: str, number: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Yield every window that shows an event, and some that show none, as often whatever moves in them."""
    events = [(first, h) for h in story.happenings for first in h.starts]
    for first, happening in events:
        yield _sample(
            split,
            number,
            f"window-{first:04d}",
            first,
            kind=happening.event.verb,
            **_said(story, happening, first, rng),
        )
    quiet = list(story.quiet())
    moves = [move for _, move in quiet]
    weights = np.array([1 / moves.count(move) for move in moves])
    wanted = min(len(quiet), len(events) // EVENTS_FOR_A_QUIET_WINDOW)
    for i in sorted(rng.choice(len(quiet), size=wanted, replace=False, p=weights / weights.sum())):
        first, move = quiet[i]
        ways = _QUIET[move]
        yield _sample(
            split,
            number,
            f"window-{first:04d}",
            first,
            kind=BACKGROUND,
            target=ways[rng.integers(len(ways))],
            group=f"{BACKGROUND}|{move}",
        )


def _said(story: Story, happening: Happening, first: int, rng: np.random.Generator) -> dict[str, str]:
    clip = happening.clip(story, first)
    return {"target": caption(clip, int(rng.integers(1000))), "group": meaning(clip)}


def _sample(split: str, number: int, name: str, first: int, **fields: object) -> Sample:
    return Sample.model_validate(
        {
            "id": f"streams/{split}/{number:04d}/{name}",
            "media": media(split, number),
            "start": first / FPS,
            "end": (first + FRAMES) / FPS,
            "episode": f"streams/{split}/{number:04d}",
            "split": split,
            "source": "babyai",
            **fields,
        }
    )
