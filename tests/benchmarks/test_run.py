"""The page of results: what is run stands in it anew, and everything else stays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = '''\
"""How long {name} takes.

Run    python benchmarks/{name}.py
       python benchmarks/{name}.py --more
Needs  nothing.
Seconds are made up.
"""

import sys

print("{name} took", *sys.argv[1:])
{end}
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "benchmarks").mkdir()
    for name, end in (("one", ""), ("two", ""), ("bad", "raise SystemExit('no memory left')")):
        text = SCRIPT.format(name=name, end=end)
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text)
    return tmp_path


@pytest.fixture
def known(run: Any) -> tuple[Any, ...]:
    made = run.Benchmark
    return (
        made("one", "First", ("3 s", "4 s"), ("0 s",)),
        made("gpu", "On a card", script="one", cuda=True),
        made("two", "Second", ("5 s",)),
        made("bad", "Bad"),
    )


def test_a_section_says_what_was_run_where_and_what_it_printed(run: Any, root: Path, known: Any) -> None:
    page = root / "page.md"
    assert run.write(page, known[:1], benchmarks=known, root=root) == 0
    text = page.read_text()
    assert text.startswith("# Speed and memory\n")
    assert "## First\n\nHow long one takes.\n\nSeconds are made up.\n\ncommit " in text
    assert "```text\n$ python benchmarks/one.py 3 s\none took 3 s\n```" in text
    assert "```text\n$ python benchmarks/one.py 4 s\none took 4 s\n```" in text
    assert run.torch.__version__ in text
    assert run.machine()["cpu"] in text


def test_sections_that_are_not_run_stay_in_the_order_of_the_page(run: Any, root: Path, known: Any) -> None:
    page = root / "page.md"
    theirs = "## Of others\n\n```text\n# not a heading\n```\n"
    page.write_text(f"# Old head\n\n{theirs}\n## On a card\n\nmeasured elsewhere\n\n## Second\n\nreplaced\n")
    assert run.write(page, [known[2]], benchmarks=known, root=root) == 0
    assert run.write(page, [known[0]], benchmarks=known, root=root, small=True) == 0
    text = page.read_text()
    assert list(run.sections_of(text)) == ["First", "On a card", "Second", "Of others"]
    for kept in ("measured elsewhere", "two took 5 s", "one took 0 s", theirs):
        assert kept in text
    for gone in ("replaced", "Old head"):
        assert gone not in text
    assert run.arranged(run.sections_of(text), known) == text


def test_what_needs_a_card_is_left_out_without_one(
    run: Any, root: Path, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)
    page = root / "page.md"
    page.write_text("## On a card\n\nmeasured elsewhere\n")
    assert run.write(page, known[1:3], benchmarks=known, root=root) == 0
    assert "measured elsewhere" in page.read_text()
    assert "two took 5 s" in page.read_text()


def test_a_failure_stands_in_its_section_and_the_others_are_run(run: Any, root: Path, known: Any) -> None:
    page = root / "page.md"
    assert run.write(page, [known[3], known[2]], benchmarks=known, root=root) == 1
    sections = run.sections_of(page.read_text())
    assert "**This run failed with status 1.**" in sections["Bad"]
    assert "no memory left" in sections["Bad"]
    assert "two took 5 s" in sections["Second"]


def test_a_failure_is_the_exit_status(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "loss", "--output", str(tmp_path / "page.md")])
    for failed, status in ((0, 0), (2, 1)):
        monkeypatch.setattr(run, "write", lambda *_, failed=failed, **__: failed)
        assert run.main() == status


def test_every_script_has_a_section_and_every_section_a_script(run: Any) -> None:
    scripts = {f"benchmarks/{file.name}" for file in (ROOT / "benchmarks").glob("*.py")}
    assert {b.file for b in run.BENCHMARKS} == scripts - {"benchmarks/run.py", "benchmarks/steps.py"}
    headings = [b.heading for b in run.BENCHMARKS]
    assert len(set(headings)) == len(headings)
