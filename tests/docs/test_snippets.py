"""Every piece of a recipe that these pages show fits into one, by its keys, names and values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from jepa_vl.cli.build import make_parser, parse
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

ROOT = Path(__file__).parents[2]
PAGES = ("large-batches.md", "scaling-out.md", "resume.md")
SHOWN = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)


def pieces(page: str) -> list[str]:
    return SHOWN.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


PIECES = [pytest.param(text, id=f"{page}:{i}") for page in PAGES for i, text in enumerate(pieces(page))]


def taken(folder: Path, text: str) -> Any:
    """What the quickstart is with a piece laid over it."""
    for file in ("quickstart.yaml", "base"):
        (folder / file).symlink_to(ROOT / "recipes" / file)
    (folder / "piece.yaml").write_text(f"import: quickstart.yaml\n{text}")
    return parse(make_parser(), resolve(load_recipe([folder / "piece.yaml"], []))).as_dict()


def numbers(shown: Any) -> list[tuple[str, Any]]:
    """Every number that is shown, with its key."""
    if not isinstance(shown, dict):
        return []
    own = [(key, value) for key, value in shown.items() if isinstance(value, int | float)]
    return own + [pair for value in shown.values() for pair in numbers(value)]


@pytest.mark.parametrize("text", PIECES)
def test_a_shown_piece_of_a_recipe_is_taken_as_it_stands(text: str, tmp_path: Path) -> None:
    values = taken(tmp_path, text)
    for pair in numbers(yaml.safe_load(text)):
        assert pair in numbers(values)


def test_pages_show_pieces() -> None:
    assert len(pieces("large-batches.md")) >= 3


def test_links_to_sections_of_the_benchmarks_name_one() -> None:
    """The page is made by a run, so that its headings are not seen where they are linked."""
    page = (ROOT / "docs" / "results" / "benchmarks.md").read_text(encoding="utf-8")
    there = {
        re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.+)$", page, re.M)
    }
    for file in (ROOT / "docs").rglob("*.md"):
        for anchor in re.findall(r"results/benchmarks\.md#([\w-]+)", file.read_text(encoding="utf-8")):
            assert anchor in there, f"{file.name}: {anchor}"
