"""A clip's samples: its caption, its event class and its questions, as records of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jepa_vl.sample import Sample
from jepa_vl_babyai import questions
from jepa_vl_babyai.captions import caption, class_name, meaning, scene
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.settings import Settings

#: Asked for the event class, the paper's prompt for classification (Fig. 2).
ACTION_QUERY = "what is the action shown?"
#: Asked for everything in sight, the paper's prompt for long texts (Fig. 2).
SCENE_QUERY = "describe this video in detail."


@dataclass(frozen=True)
class Chosen:
    """A clip that belongs to the data set.

    Attributes:
        split: Its split.
        number: Its number there; balance and randomness go by it.
        episode: The number of its episode, in its split.
        clip: The clip.
    """

    split: str
    number: int
    episode: int
    clip: Clip

    @property
    def id(self) -> str:
        """The name of its samples, before the last stroke."""
        return f"{self.split}/{self.number:06d}"

    @property
    def media(self) -> str:
        """Its folder of frames, relative to the manifest."""
        return f"clips/{self.id}"


def samples(chosen: Sequence[Chosen], settings: Settings) -> Iterator[Sample]:
    """Yield the samples of a split. What is popular there is asked about by ``presence/popular``.

    In training a clip has two presence questions, whose ways go round; elsewhere it has all three. The
    answers of each way take turns, so that guessing is right half the time.
    """
    popular = questions.frequent([c.clip for c in chosen])
    ways = questions.PRESENCE
    yes_next = {way: i % 2 == 0 for i, way in enumerate(ways)}
    for c in chosen:
        rng = np.random.default_rng([settings.seed, *c.split.encode(), c.number])
        said = caption(c.clip, int(rng.integers(1000)))
        verb = c.clip.event.verb
        name = class_name(c.clip)
        yield _sample(c, "caption", target=said, group=meaning(c.clip), kind=verb)
        yield _sample(c, "action", query=ACTION_QUERY, target=name, label=name, kind=verb)
        asked = [questions.attribute(c.clip), questions.count(c.clip, rng)]
        for way in [w for i, w in enumerate(ways) if c.split != "train" or i != c.number % len(ways)]:
            question = questions.presence(c.clip, way, yes=yes_next[way], popular=popular, rng=rng)
            yes_next[way] ^= question is not None
            asked.append(question)
        for q in asked:
            if q is not None:
                yield _sample(
                    c,
                    q.kind.replace("/", "-"),
                    query=q.query,
                    target=q.answer,
                    candidates=q.candidates,
                    kind=q.kind,
                )


def scenes(chosen: Sequence[Chosen]) -> Iterator[Sample]:
    """Yield a description of what lies in sight in each clip of a split."""
    for c in chosen:
        yield _sample(c, "scene", query=SCENE_QUERY, target=scene(c.clip), kind="scene")


def _sample(c: Chosen, name: str, **fields: Any) -> Sample:
    episode = f"{c.split}/{c.episode}"
    return Sample(
        id=f"{c.id}/{name}", media=c.media, episode=episode, split=c.split, source="babyai", **fields
    )
