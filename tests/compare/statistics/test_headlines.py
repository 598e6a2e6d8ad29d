"""What is compared when nothing is said."""

from __future__ import annotations

from jepa_vl.compare.statistics.headlines import headlines
from jepa_vl.tasks.base import Result


def row(task: str, metric: str, group: str = "all") -> Result:
    return Result(task, metric, 0.5, 10, group=group)


def test_the_first_row_that_both_have_is_taken_not_one_that_only_one_has() -> None:
    embeds = [row("retrieval", "R@1"), row("retrieval", "R@1", "gallery 64"), row("vqa", "accuracy")]
    scores = [row("vqa", "accuracy"), row("retrieval", "R@1", "gallery 64")]
    found = headlines([{"test": embeds}, {"test": scores}])
    assert [(m.task, m.group) for m in found] == [("retrieval", "gallery 64"), ("vqa", "all")]


def test_each_test_set_is_named_but_the_first_and_single_frames_are_left_out() -> None:
    rows = [row("vqa", "accuracy"), row("vqa", "precision")]
    arm = {"test": rows, "test/single-frame": rows, "novel": rows}
    assert [m.name for m in headlines([arm, arm])] == ["vqa, accuracy", "vqa, accuracy, novel"]


def test_what_only_one_of_two_arms_has_is_no_comparison() -> None:
    assert headlines([{"test": [row("captioning", "CIDEr")]}, {"test": [row("vqa", "accuracy")]}]) == ()
