"""results.json and the tables made of it."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from rich.console import Console

import jepa_vl
from jepa_vl.errors import UserError
from jepa_vl.results import Results, RunInfo, markdown, quantity, rich_tables, with_baseline
from jepa_vl.results.run_info import command_line, source_commit
from jepa_vl.results.units import PRINTING
from jepa_vl.tasks.base import Result, Unit

ROWS = [
    Result("retrieval", "text-to-video R@1", 0.25, 40, 0.004, 0.2, 0.3, note="40 queries"),
    Result("retrieval", "text-to-video median rank", 3.0, 40, 20.5, 2.0, 4.5, higher_is_better=False),
    Result("vqa", "accuracy", 0.5, 60, 0.5, 0.4, 0.6, group="presence", baselines={"question only": 0.55}),
]


@pytest.fixture
def results() -> Results:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    model[0].requires_grad_(False)
    run = RunInfo.here(
        name="quick",
        model=model,
        recipe={"seed_everything": 1, "data": {"batch_size": 8}},
        data_hash="abc",
        samples_seen=10,
        steps=2,
        train_seconds=1.5,
        tasks={"retrieval": {"score_gallery": 64}},
    )
    return Results(run=run, sets={"test": ROWS, "novel": ROWS[:1]})


def test_what_is_saved_is_what_is_loaded(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "runs/quick/results.json"
    results.save(path)
    assert Results.load(path) == results
    assert json.loads(path.read_text())["sets"]["test"][0]["metric"] == "text-to-video R@1"
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_a_run_says_what_it_ran_on(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    run = results.run
    assert (run.trainable_parameters, run.frozen_parameters) == (4, 9)
    assert run.version == jepa_vl.__version__
    assert run.machine["cores"] >= 1
    assert run.machine["cpu"]
    assert run.date.endswith("+00:00")
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    again = RunInfo.here(
        name="n", model=torch.nn.Linear(1, 1), data_hash="", samples_seen=0, steps=0, train_seconds=0.0
    )
    assert again.seed == 7


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/opt/bin/jepa-vl", "test", "--config", "a b.yaml"], "jepa-vl test --config 'a b.yaml'"),
        (["/lib/jepa_vl/__main__.py", "fit"], "python -m jepa_vl fit"),
    ],
)
def test_the_command_can_be_typed_again_and_tells_no_folder(argv: list[str], said: str) -> None:
    assert command_line(argv) == said


def test_the_commit_is_of_this_source_and_not_of_a_project_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "env/jepa_vl"
    package.mkdir(parents=True)
    monkeypatch.setattr(jepa_vl, "__file__", str(package / "__init__.py"))
    assert source_commit() is None

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "another project")
    (package / "__init__.py").write_text("")
    assert source_commit() is None  # installed into an environment of that project
    git("add", ".")
    git("commit", "-m", "its own")
    clean = source_commit()
    assert clean is not None
    assert not clean.endswith("+")
    (package / "__init__.py").write_text("changed = True\n")
    assert source_commit() == clean + "+"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; `jepa-vl test` writes it"),
        ("{", "not a results file"),
        ('{"run": 1, "sets": {}}', "not a results file: run"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        Results.load(path)


def test_a_row_is_found_by_its_names(results: Results) -> None:
    assert results.find("test", "vqa", "accuracy", group="presence") is results.sets["test"][2]
    with pytest.raises(KeyError, match="test has no vqa accuracy of all"):
        results.find("test", "vqa", "accuracy")


def test_a_baseline_is_matched_by_task_metric_and_group() -> None:
    other = [Result("vqa", "accuracy", 0.1, 60), Result("vqa", "accuracy", 0.2, 60, group="presence")]
    found = with_baseline(ROWS, other, "single frame")
    assert found[2].baselines == {"question only": 0.55, "single frame": 0.2}
    assert found[0].baselines == {}
    assert ROWS[2].baselines == {"question only": 0.55}


def render(rows: list[Result] = ROWS, **options: Any) -> list[str]:
    """Return the lines of the tables, without those that are blank."""
    console = Console(file=io.StringIO(), **options)
    console.print(rich_tables("test", rows))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_the_tables_show_percent_ranks_and_baselines() -> None:
    lines = [" ".join(line.split()) for line in render(width=160)]
    assert lines[:2] == ["test · retrieval", "metric value 95 % interval n chance"]
    assert lines[3] == "text-to-video R@1 25.0 % 20.0 – 30.0 40 0.40 %"
    assert lines[4] == "text-to-video median rank 3 2 – 4.5 40 20.5"
    assert lines[5:7] == ["test · vqa", "of metric value 95 % interval n chance no video"]
    assert lines[8] == "presence accuracy 50.0 % 40.0 – 60.0 60 50.0 % 55.0 %"


def test_columns_and_groups_without_content_are_left_out() -> None:
    lines = render([Result("captioning", "CIDEr", 1.2, 9, unit="points")], width=100)
    assert lines[1].split() == ["metric", "value", "n"]
    assert lines[3].split() == ["CIDEr", "120.0", "9"]


def test_rows_of_a_part_stand_together_and_finer_kinds_below_their_own() -> None:
    groups = ["all", "presence", "presence/random", "other/random", "presence", "presence/random"]
    metrics = ["accuracy"] * 4 + ["F1"] * 2
    rows = [Result("vqa", m, 0.5, 9, group=g) for m, g in zip(metrics, groups, strict=True)]
    assert [line.split("50.0")[0].rstrip() for line in render(rows, width=100)[3:]] == [
        "all           accuracy",
        "presence      accuracy",
        "              F1",
        "  random      accuracy",
        "              F1",
        "other/random  accuracy",
    ]


def test_a_hundred_columns_hold_the_longest_names_there_are() -> None:
    baselines = {"question only": 1.0, "single frame": 1.0}
    rows = [
        Result("vqa", metric, 1.0, 12_578, 1.0, 1.0, 1.0, group, baselines)
        for metric in ("accuracy", "mean accuracy of splits")
        for group in ("all", "presence", "presence/adversarial")
    ]
    lines = render(rows, width=100)
    assert len(lines) == 4 + len(rows), "a cell is wrapped"
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "percent", "25.0 %"),
        (0.004, "percent", "0.40 %"),
        (0.0, "percent", "0.0 %"),
        (1.2, "points", "120.0"),
        (0.834, "number", "0.834"),
        (3.0, "rank", "3"),
        (4.5, "rank", "4.5"),
    ],
)
def test_a_metric_is_printed_in_its_own_unit(value: float, unit: Unit, text: str) -> None:
    assert quantity(value, unit) == text


def test_every_unit_says_how_it_is_printed() -> None:
    assert set(PRINTING) == set(get_args(Unit))


def test_a_rank_of_a_file_without_units_stays_a_rank(results: Results, tmp_path: Path) -> None:
    old = json.loads(results.model_dump_json())
    for row in old["sets"]["test"]:
        del row["unit"]
    (tmp_path / "results.json").write_text(json.dumps(old))
    assert [row.unit for row in Results.load(tmp_path / "results.json").sets["test"]] == [
        "percent",
        "rank",
        "percent",
    ]


def test_markdown_has_the_same_cells_and_the_notes() -> None:
    head, rule, first, _, last = markdown(ROWS).splitlines()
    assert head.startswith("| task | metric | of | value | 95 % interval | n | chance | no video | note |")
    assert rule.count("|") == head.count("|") == first.count("|")
    assert "| 25.0 % | 20.0 – 30.0 | 40 | 0.40 % |  | 40 queries |" in first
    assert "| presence | 50.0 % |" in last
