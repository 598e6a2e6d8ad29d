from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from jepa_vl import registry

Command = Callable[..., tuple[int, str, str]]


def table(out: str) -> dict[str, dict[str, str]]:
    header, *rows = (re.split(r" {2,}", line) for line in out.splitlines() if "  " in line)
    return {row[1]: dict(zip(header, row, strict=True)) for row in rows}


def test_the_list_has_every_part_with_its_source_and_whole_columns(jepa_vl: Command) -> None:
    status, out, _ = jepa_vl("plugins", "list")
    assert status == 0
    rows = table(out)
    assert {e.name for e in registry.entries()} == set(rows)
    assert rows["info_nce"] == {
        "group": "losses",
        "name": "info_nce",
        "class": "jepa_vl.losses.info_nce.InfoNCE",
        "from": "built-in",
        "loads": "yes",
    }
    assert "…" not in out


def test_the_list_can_be_of_one_group(jepa_vl: Command) -> None:
    rows = table(jepa_vl("plugins", "list", "--group", "losses")[1])
    assert {row["group"] for row in rows.values()} == {"losses"}


def test_broken_and_colliding_plugins_are_listed_with_the_reason(
    tmp_path: Path,
) -> None:
    info = tmp_path / "odd_plugin-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(
        "[jepa_vl.losses]\nbroken = not_there:L\nl1 = jepa_vl.losses.frozen_target:L2Loss\n"
    )
    code = "import sys; from jepa_vl.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "plugins", "list", "--group", "losses"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    rows = table(done.stdout)
    assert rows["broken"]["from"] == "odd-plugin 0.3"
    assert rows["broken"]["loads"] == "no: ModuleNotFoundError: No module named 'not_there'"
    assert rows["l1"]["loads"] == "no: 2 parts have this name"
    assert rows["l2"]["loads"] == "yes"
    assert done.stdout.splitlines()[-1] == "3 of 9 cannot be used"


def test_parts_of_a_recipes_own_plugins_are_listed_with_their_file(tiny: Path, jepa_vl: Command) -> None:
    rows = table(jepa_vl("plugins", "list", "--config", "tiny.yaml", "--group", "vision")[1])
    assert rows["cli_pixels"]["from"].endswith("cli_pixels.py")


def test_show_prints_contract_arguments_and_a_snippet_that_is_yaml(jepa_vl: Command) -> None:
    status, out, _ = jepa_vl("plugins", "show", "info_nce")
    assert status == 0
    assert out.startswith("losses/info_nce\njepa_vl.losses.info_nce.InfoNCE, built-in\n")
    assert "Always computed in float32" in out  # the contract
    assert "  temperature: float, default 0.07" in out
    snippet = yaml.safe_load(out.partition("In a recipe\n")[2])
    assert snippet["loss"]["class_path"] == "info_nce"
    assert snippet["loss"]["init_args"]["temperature"] == 0.07


@pytest.mark.parametrize("group", list(registry.GROUPS))
def test_every_part_can_be_shown(jepa_vl: Command, group: str) -> None:
    for name in registry.names(group):
        if registry.entry(group, name).origin != "built-in":
            continue
        status, out, err = jepa_vl("plugins", "show", f"{group}/{name}")
        assert status == 0, err
        yaml.safe_load(out.partition("In a recipe\n")[2])
        # an argument without a word of help is a docstring that misses it
        after = out.partition("\nArguments\n")[2]
        arguments = re.split("\nIn a recipe|\nOn the command line", after)[0].splitlines()
        heads = [i for i, line in enumerate(arguments) if re.match(r"  \w", line)]
        assert [arguments[i] for i in heads if not arguments[i + 1].startswith("    ")] == []


def test_a_name_of_two_groups_must_say_which(jepa_vl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from jepa_vl.decoders.nearest import NearestText
    from jepa_vl.losses.info_nce import InfoNCE

    # not in the real table, where it would stay
    from jepa_vl.registry.table import Table

    own = Table()
    own.register("losses", "both")(InfoNCE)
    own.register("decoders", "both")(NearestText)
    monkeypatch.setattr(registry, "entries", own.entries)
    monkeypatch.setattr(registry, "entry", own.entry)
    status, _, err = jepa_vl("plugins", "show", "both")
    assert status == 2
    assert "'both' is in 2 groups; say decoders/both or losses/both" in err
    assert jepa_vl("plugins", "show", "losses/both")[0] == 0


def test_the_help_of_a_key_shows_the_part(jepa_vl: Command) -> None:
    assert jepa_vl("fit", "--objective.loss.help", "l1")[1] == jepa_vl("plugins", "show", "losses/l1")[1]
