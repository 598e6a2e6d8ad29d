"""A part of a validation set that can still be asked about."""

from __future__ import annotations

import random

from jepa_vl.data.subset import drawn
from jepa_vl.data.windows import MOMENT, STREAM, with_windows
from jepa_vl.sample import CHOICE, WINDOW, Sample


def clip(name: str, media: str = "m.mp4", **of: object) -> Sample:
    return Sample.model_validate({"id": name, "media": media, "target": "", **of})


def test_captions_are_drawn_as_before_there_was_anything_to_refer_to() -> None:
    samples = [clip(str(i), target="x") for i in range(50)]
    places = list(range(0, 50, 2))
    assert drawn(places, samples, 7) == sorted(random.Random(0).sample(places, 7))
    assert drawn(places, samples, 99) == places


def test_a_question_keeps_its_choices_and_no_others() -> None:
    choices = [clip(f"c{i}", kind=CHOICE) for i in range(40)]
    asked = [
        clip(f"q{i}", choices=[f"c{4 * i + k}" for k in range(4)], answer=f"c{4 * i}") for i in range(10)
    ]
    samples = [*choices, *asked]
    found = {samples[i].id for i in drawn(range(len(samples)), samples, 3)}
    kept = [s for s in asked if s.id in found]
    assert len(kept) == 3
    assert found == {s.id for s in kept} | {name for s in kept for name in s.choices or ()}


def test_a_choice_that_cannot_be_read_is_not_brought_back() -> None:
    samples = [clip("c0", kind=CHOICE), clip("c1", kind=CHOICE), clip("q", choices=["c0", "c1"], answer="c0")]
    assert drawn([1, 2], samples, 1) == [1, 2]


def test_a_moment_keeps_every_window_of_its_video() -> None:
    moments = [
        clip(f"{m} {i}", m, start=i, end=i + 1, target="x", kind=MOMENT) for m in ("a", "b") for i in range(3)
    ]
    samples = with_windows(moments, {"a": 10.0, "b": 20.0}, lengths=[4.0])
    found = [samples[i] for i in drawn(range(len(samples)), samples, 1)]
    (moment,) = (s for s in found if s.kind == MOMENT)
    assert found[1:] == [s for s in samples if s.kind != MOMENT and s.media == moment.media]


def test_streams_are_drawn_with_their_windows_and_only_where_there_is_nothing_else() -> None:
    said = [clip(f"s{i}", start=i, end=i + 1, target="x", kind=STREAM, timestamps=[i]) for i in range(4)]
    streams = with_windows(said, {"m.mp4": 10.0}, lengths=[1.0], stride=0.5)
    captions = [clip(f"c{i}", target="x") for i in range(5)]
    samples = [*streams, *captions]
    assert {samples[i].id for i in drawn(range(len(samples)), samples, 5)} == {s.id for s in captions}
    found = [streams[i] for i in drawn(range(len(streams)), streams, 2)]
    assert sum(s.kind == STREAM for s in found) == 2
    assert [s for s in found if s.kind == WINDOW] == [s for s in streams if s.kind == WINDOW]


def test_a_set_of_nothing_but_clips_is_cut_like_any_other() -> None:
    samples = [clip(str(i), kind=CHOICE) for i in range(9)]
    assert len(drawn(range(9), samples, 4)) == 4
