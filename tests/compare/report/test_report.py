"""The report: it stands alone, says losses first, claims nothing without an interval, and drops no run."""

from __future__ import annotations

import builtins
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jepa_vl.compare.report.write as writing
from jepa_vl.compare.control.proof import ControlSheet, Row
from jepa_vl.compare.plan import Arm
from jepa_vl.compare.report import write_report
from jepa_vl.compare.report.ablation import agreement
from jepa_vl.compare.report.content import kinds_of
from jepa_vl.compare.report.document import Items, Text
from jepa_vl.compare.report.finding import _efficiency, _shares, finding
from jepa_vl.compare.report.numbers import duration, ratio, short
from jepa_vl.compare.report.paper_fig3 import CURVES, SAMPLES
from jepa_vl.compare.report.pictures import frames_of, strip
from jepa_vl.compare.report.resources import sums, training
from jepa_vl.compare.report.tables import at_every_budget, at_full_budget
from jepa_vl.compare.statistics.gather import gather
from jepa_vl.compare.statistics.summarise import summarise
from jepa_vl.compare.statistics.summary import Efficiency, Summary
from jepa_vl.errors import UserError

pytest.importorskip("matplotlib")
MakeUp = Callable[..., Any]
THINKS = {"jepa": "predictor", "token": "prefix"}
VOID = ("meta", "img", "br", "path", "use", "rect")


class Tags(HTMLParser):
    """What could load something, and tags that are left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id" and tag == "h2"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def words(summary: Summary) -> list[str]:
    found: list[str] = []
    for block in finding(summary):
        found += [block.text] if isinstance(block, Text) else []
        found += list(block.texts) if isinstance(block, Items) else []
    return found


def squares(_: Any, sample_set: str, ids: Sequence[str]) -> dict[str, list[bytes]]:
    return {name: strip(torch.zeros(8, 3, 32, 32, dtype=torch.uint8)) for name in ids}


@pytest.fixture(scope="module")
def page(made: Any) -> Iterator[Path]:
    folder = made.folder
    rows = [
        Row(check="batch", values={"jepa": "32", "token": "32"}, verdict="same"),
        Row(check="learning rate", values={"jepa": "0.1", "token": "0.2"}, verdict="listed"),
    ]
    ControlSheet(comparison="babyai", rows=rows, differs=[]).save(folder / "control.json")
    row = {"batch": 1, "frames": 8, "milliseconds": 4.25, "flops": 2.5e9, "runs": 3}
    (folder / "cost.json").write_text(
        json.dumps({arm: {"rows": [row | {"part": part}]} for arm, part in THINKS.items()})
    )
    (folder / "tuning.json").write_text(
        json.dumps(
            {
                "values": [0.001, 0.01],
                "rule": "the highest val/score",
                "chosen": {"jepa": 0.01},
                "trials": [
                    {"arm": "jepa", "value": 0.001, "score": 0.25, "state": "finished", "train_seconds": 9},
                    {"arm": "jepa", "value": 0.01, "score": None, "state": "diverged", "train_seconds": 1},
                ],
                "warnings": ["<b>edge</b>"],
            }
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "frames_of", squares)
        yield write_report(made.comparison(), folder)


def test_the_page_needs_no_other_file_and_is_well_formed(page: Path) -> None:
    tags = Tags(page.read_text())
    assert tags.open == []
    assert all(place.startswith(("#", "data:image/png;base64,")) for place in tags.loaded)
    assert not re.search(r"https?://(?!www\.w3\.org)", page.read_text())
    anchors = {place[1:] for place in tags.loaded if place.startswith("#") and place[1:] in tags.ids}
    assert anchors == set(tags.ids)  # the contents lead everywhere


def test_everything_is_in_it_and_in_this_order(page: Path) -> None:
    text = page.read_text()
    places = [
        text.index(f">{title}</h2>")
        for title in (
            "At the full budget",
            "What was held equal",
            "Curves",
            "At every budget",
            "Sample efficiency",
            "Parameters",
            "Training cost",
            "Inference cost",
            "Tuning",
            "The paper&#x27;s curves",
            "Predictions side by side",
            "Runs",
        )
    ]
    assert places == sorted(places)
    assert text.count("<svg") >= 3 * 4 + 3  # of four metrics over three axes, and the paper's
    assert text.count("data:image/png") == 2 * 6 * 4
    assert "the loss is not a number at step 142" in text
    assert "predictor or prefix" in text
    assert "4.25 ms, 2.5 G" in text
    assert "&lt;b&gt;edge" in text


def test_curves_have_the_colours_of_the_page_and_no_ink_of_their_own(page: Path) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page.read_text(), re.S)
    assert all("var(--c0)" in svg or "var(--c1)" in svg for svg in drawings)
    assert not any("#0072b2" in svg or "#1b1f24" in svg for svg in drawings)


def test_the_same_runs_give_the_same_page(page: Path, made: Any) -> None:
    first = page.read_text()
    write_report(made.comparison(), page.parent)
    assert page.read_text() == first


def test_markdown_says_the_same_and_shows_figures_that_are_there(page: Path) -> None:
    text = (page.parent / "report.md").read_text()
    shown = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert len(shown) == 4
    assert all((page.parent / path).read_text().startswith("<?xml") for path in shown)
    for line in (line for line in text.splitlines() if line.startswith("|")):
        assert line.count("|") > 2
    assert "**token-generative twin is ahead of VL-JEPA**" in text


def test_numbers_are_in_a_file(page: Path) -> None:
    summary = Summary.load(page.parent / "summary.json")
    assert {run.state for run in summary.runs} == {"finished", "diverged"}


def test_tensorboard_has_the_mean_over_seeds_at_the_samples_seen(page: Path) -> None:
    summary = Summary.load(page.parent / "summary.json")
    events = EventAccumulator(str(page.parent / "curves" / "jepa"))
    events.Reload()
    found = {e.step: e.value for e in events.Scalars("compare/VQA, accuracy")}
    assert list(found) == [320, 960, 3200, 9600, 32000]
    expected = summary.mean("jepa", "VQA, accuracy", 0.3)
    assert expected is not None
    assert found[9600] == pytest.approx(expected.value, rel=1e-6)
    low = events.Scalars("compare/VQA, accuracy/low")
    assert low[3].value == pytest.approx(expected.low, rel=1e-5)


def test_where_the_reference_wins_is_said_first(made_up: MakeUp) -> None:
    made = made_up()
    told = words(summarise(gather(made.comparison(), made.write())))
    assert "**token-generative twin is ahead of VL-JEPA** on VQA, accuracy" in told[0]
    assert "**VL-JEPA is ahead of token-generative twin** on retrieval" in told[1]


def test_the_samples_told_are_those_at_which_it_was_measured(made_up: MakeUp) -> None:
    made = made_up(diverged=(), budgets=(0.1,))  # of runs that are ten times as long
    summary = summarise(gather(made.comparison(), made.write()))
    point = summary.point("jepa", 0.1)
    assert point is not None
    assert summary.arm("jepa").samples == pytest.approx(10 * point.samples)
    assert f"({point.samples:,.0f} training samples" in words(summary)[0]


def test_who_takes_fewer_samples_is_named(made_up: MakeUp) -> None:
    made = made_up(diverged=())
    summary = summarise(gather(made.comparison(), made.write()))
    (jepa,) = (arm for arm in summary.arms if arm.against)
    one = next(e for e in summary.efficiencies if (e.quality_of, e.axis) == ("reference", "samples"))

    def said(low: float, high: float) -> str:
        changed = one.model_copy(update={"low": low, "high": high, "over": "seeds", "arm": jepa.name})
        found = summary.model_copy(update={"efficiencies": [changed]})
        return _efficiency(found, jepa, summary.arm(jepa.against)).partition("**, ")[2]

    assert said(1.5, 3.0).startswith(f"{jepa.about} takes fewer samples on {one.metric} (")
    assert said(0.2, 0.5).startswith(f"{jepa.about} takes more on {one.metric} (")
    assert said(0.0, 0.0) == f"{jepa.about} does not come there on {one.metric}."
    assert said(0.5, 2.0).startswith(f"no difference can be told on {one.metric} (")


def test_no_difference_is_claimed_without_its_interval(made_up: MakeUp) -> None:
    made = made_up()
    summary = summarise(gather(made.comparison(), made.write()))
    told = next(text for text in words(summary) if "No difference can be told" in text)
    for gap in (g for g in summary.differences if g.budget == 1):
        assert (gap.metric in told) == ((gap.low or 0) <= 0 <= (gap.high or 0))
    ahead = [text for text in words(summary) if "is ahead of" in text]
    assert all(re.search(r"by [\d.]+ \[[\d.]+, [\d.]+\]", text) for text in ahead)


def test_runs_that_are_not_there_and_few_seeds_and_mixed_machines_are_said(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2), diverged=(("jepa", 2),))
    folder = made.write()
    record = json.loads((folder / "token/seed-1/run.json").read_text())
    record["machine"] = {"gpus": ["NVIDIA H200"]}
    (folder / "token/seed-1/run.json").write_text(json.dumps(record))
    told = " ".join(words(summarise(gather(made.comparison(seeds=(1, 2, 3)), folder))))
    assert "1 of 3 runs of VL-JEPA: diverged** (seed 2)" in told
    assert "1 of 3 runs of VL-JEPA: missing** (seed 3)" in told
    assert "Fewer than 3 paired seeds" in told
    assert "Mixed hardware" in told


def test_an_arm_that_has_not_begun_is_named_once_and_has_no_row_in_a_table_of_many(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2, 3))
    two = made.comparison(seeds=(1, 2, 3))
    (jepa, token), more = (
        two.arms,
        [replace(two.arms[0], name=f"later-{i}", about=f"later {i}") for i in (1, 2)],
    )
    summary = summarise(gather(replace(two, arms=(jepa, token, *more)), made.write()))
    told = " ".join(words(summary))
    assert "**No run of later 1 and later 2 has begun.**" in told
    assert "missing" not in told
    for table in (at_full_budget(summary), at_every_budget(summary, summary.metrics[0]), training(summary)):
        text = str(table.rows)
        assert jepa.about in text
        assert "later" not in text


def test_a_report_of_nothing_says_so(made_up: MakeUp) -> None:
    made = made_up()
    page = write_report(made.comparison(metrics=()), made.folder)
    text = page.read_text()
    assert "Nothing has been measured yet" in text
    assert "There is no control sheet" in text
    assert text.count("missing") >= 10


def test_an_ablation_says_whether_the_signs_agree(made_up: MakeUp) -> None:
    made = made_up(
        diverged=(),
        budgets=(1.0,),
        paper={
            "jepa": {"retrieval, text-to-video R@1": 3.0, "VQA, accuracy": 9.0, "classification, top-1": 2.0},
            "token": {
                "retrieval, text-to-video R@1": 1.0,
                "VQA, accuracy": 1.0,
                "classification, top-1": 1.0,
            },
        },
    )
    folder = made.write()
    summary = summarise(gather(made.comparison(), folder))
    found = {metric.name: agreement(summary, "jepa", metric) for metric in summary.metrics}
    assert found["retrieval, text-to-video R@1"] == "agree"
    assert found["VQA, accuracy"] == "disagree"
    assert found["captions, CIDEr"] == ""
    text = write_report(made.comparison(), folder).read_text()
    assert "Against the paper, row by row" in text
    assert "1 disagree" in text
    assert ">Curves</h2>" not in text  # one budget makes none
    drawn = (folder / "figures" / "changes.svg").read_text()
    gaps = {gap.metric: gap.value for gap in summary.differences}
    assert len(found.keys() & gaps.keys()) >= 3
    for metric in summary.metrics:
        assert metric.name in drawn
    for name in found.keys() & gaps.keys():
        assert f"{name}: VL-JEPA {100 * gaps[name]:+.1f}" in text  # for those who cannot see it


def test_many_arms_are_counted_not_told_one_by_one(made_up: MakeUp) -> None:
    made = made_up(episodes=20, diverged=(), budgets=(1.0,))
    folder = made.write()
    for copy in "abcde":
        (folder / copy).symlink_to(folder / "jepa")
    plan = made.comparison()
    arms = (*plan.arms, *(replace(plan.arms[0], name=name, about=name) for name in "abcde"))
    text = write_report(replace(plan, arms=arms), folder).read_text()
    assert "of 6 others" in text
    fewer = write_report(replace(plan, arms=arms[:5]), folder).read_text()
    assert "others" not in fewer
    # an arm that nothing was run of has no difference to count
    none = replace(plan, arms=(plan.arm("token"), *arms[:1], *(replace(a, against="lost") for a in arms[2:]),
                               replace(plan.arms[0], name="lost", about="lost")))  # fmt: skip
    assert "of 0 others" not in write_report(none, folder).read_text()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"better": 2, "worse": 1, "cannot be told": 3},
            "2 are better, 1 is worse and 3 cannot be told apart",
        ),
        ({"worse": 6}, "6 are worse"),
        ({"better": 1, "cannot be told": 1}, "1 is better and 1 cannot be told apart"),
    ],
)
def test_counts_say_nothing_of_what_none_is(told: dict[Any, int], expected: str) -> None:
    assert _shares([verdict for verdict, n in told.items() for _ in range(n)]) == expected


def test_without_matplotlib_there_is_markdown_and_a_word_of_what_to_install(
    made_up: MakeUp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **of: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **of)

    made = made_up(episodes=10)
    folder = made.write()
    monkeypatch.setattr(builtins, "__import__", missing)
    assert write_report(made.comparison(), folder).name == "report.md"
    assert (folder / "summary.json").exists()
    assert not (folder / "report.html").exists()
    assert "pip install 'jepa-vl[plots]'" in caplog.text


def test_a_folder_that_cannot_be_written_is_a_users_error(made_up: MakeUp, tmp_path: Path) -> None:
    (tmp_path / "babyai").write_text("a file")
    with pytest.raises(UserError, match="babyai"):
        write_report(made_up().comparison(), tmp_path / "babyai")


def test_four_frames_of_a_clip_are_small_pictures_from_its_first_to_its_last() -> None:
    clip = torch.stack([torch.full((3, 200, 100), 10 * t, dtype=torch.uint8) for t in range(10)])
    pictures = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in strip(clip)]
    assert [int(picture[0, 0, 0]) for picture in pictures] == [0, 30, 60, 90]
    assert pictures[0].shape == (96, 48, 3)
    assert len(strip(clip[:1])) == 1


def test_data_that_cannot_be_read_here_leave_the_report_without_frames(
    made_up: MakeUp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(values: dict[str, Any]) -> Any:
        raise UserError("train.jsonl: no such file")

    monkeypatch.setattr("jepa_vl.compare.report.pictures.build_parts", absent)
    plan = made_up().comparison()
    plan = replace(plan, arms=tuple(replace(arm, values={"data": {}}) for arm in plan.arms))
    assert frames_of(plan, "test", ["a"]) == {}
    assert "train.jsonl: no such file" in caplog.text


def test_parameters_are_counted_with_and_without_what_a_reader_may_leave_out(made_up: MakeUp) -> None:
    made = made_up()
    arm = summarise(gather(made.comparison(), made.write())).arm("jepa")
    assert sums(arm, ()) == (27_700_000, 32_571_000)
    assert sums(arm, ("text_encoder", "token_embedding")) == (5_100_000, 8_471_000)


def test_the_papers_curves_are_one_value_a_sample_count_and_start_where_the_text_says() -> None:
    assert all(len(values) == len(SAMPLES) for curve in CURVES.values() for values in curve.values())
    top5 = CURVES["classification, top-5 in %"]
    assert (top5["jepa"][-1], top5["token"][-1]) == pytest.approx((41.0, 27.2), abs=0.2)  # the text's


def test_the_two_objectives_of_the_paper_are_known_by_their_class() -> None:
    def arm(name: str, path: str) -> Arm:
        return Arm(name, {"objective": {"class_path": path}}, ())

    arms = [arm("deep", "jepa_vl.objectives.jepa.JEPA"), arm("twin", "token"), arm("half", "token")]
    assert kinds_of(arms) == {"jepa": "deep", "token": "twin"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2.0× [1.5, 3.0]"),
        ({"first_budget": ["arm"]}, "≥ 2.0× [1.5, 3.0]"),
        ({"first_budget": ["reference"]}, "≤ 2.0× [1.5, 3.0]"),
        ({"ratio": 0.0, "low": 0.0, "high": 0.0}, "not reached"),
        ({"ratio": 0.0, "low": 0.0, "high": 1.5}, "not reached [0, 1.5]"),
        ({"ratio": np.inf, "low": 2.0, "high": np.inf}, "∞× [2.0, ∞]"),
        ({"low": None, "high": None}, "2.0×"),
    ],
)
def test_ratios_say_what_is_not_reached(changes: dict[str, Any], expected: str) -> None:
    found = Efficiency(
        arm="a",
        metric="m",
        quality_of="reference",
        quality=0.5,
        axis="samples",
        reference_needs=2.0,
        arm_needs=1.0,
        first_budget=[],
        ratio=2.0,
        low=1.5,
        high=3.0,
        over="seeds",
        seeds=5,
    )
    assert ratio(found.model_copy(update=changes)) == expected


def test_quantities_are_short() -> None:
    assert [short(v) for v in (5_100_000, 0, 950, 6.72e13)] == ["5.1 M", "0", "950", "67.2 T"]
    assert [duration(v) for v in (12.34, 900, 9000)] == ["12.3 s", "15.0 min", "2.5 h"]
