from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import jepa_vl

Command = Callable[..., tuple[int, str, str]]
HEAVY = ("torch", "lightning", "transformers", "numpy", "pydantic", "rich", "yaml")


@pytest.mark.parametrize("flag", ["--help", "--version", "-h", "fti"])
def test_help_and_version_and_a_typo_import_nothing_heavy(flag: str) -> None:
    code = (
        "import sys; from jepa_vl.__main__ import main; main([sys.argv[1]]); "
        f"sys.exit(' '.join(m for m in {HEAVY} if m in sys.modules) or None)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("verb", ["fit", "test", "compare", "plan"])
def test_a_recipe_that_cannot_be_read_is_told_without_the_imports_of_a_run(verb: str) -> None:
    code = (
        f"import sys; from jepa_vl.__main__ import main; status = main(['{verb}', '--config', 'no.yaml']); "
        "sys.exit(int('torch' in sys.modules or status != 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("error: recipe no.yaml does not exist")


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "jepa_vl", "--version"], capture_output=True, text=True)
    assert done.stdout == f"jepa-vl {jepa_vl.__version__}\n"


def test_output_that_nobody_reads_ends_a_command_without_a_trace() -> None:
    code = (
        "import sys, jepa_vl.__main__ as command\n"
        "command._dispatch = lambda words: [sys.stdout.write('line\\n' * 100_000) for _ in range(9)]\n"
        "sys.exit(command.main(['stream']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("fti",), "unknown command 'fti'; did you mean 'fit'?"),
        (("fit", "recipe.yaml"), "unexpected 'recipe.yaml'; a recipe is given by --config recipe.yaml"),
        (("fit", "--config"), "--config needs a value"),
        (("fit", "--config", "--name", "x"), "--config needs a value"),
        (("fit", "-conf", "x"), "unexpected '-conf'; did you mean '--config'"),
        (("fit",), "the recipe has no 'objective'; choose from "),
        (("fit", "--config", "nowhere.yaml"), "nowhere.yaml does not exist"),
        (("plugins", "lst"), "unknown command 'plugins lst'; did you mean 'list'?"),
        (("plugins", "show"), "needs a name"),
        (("plugins", "show", "info_ncee"), "did you mean 'info_nce'"),
        (("plugins", "show", "lossses/info_nce"), "unknown group 'lossses'; did you mean 'losses'"),
        (("plugins", "list", "--grup", "x"), "unknown option --grup; did you mean 'group'"),
        (("plugins", "list", "--group", "loses"), "unknown group 'loses'; did you mean 'losses'"),
        (("fit", "--objective.los.help", "l1"), "'los' names no part; did you mean 'loss'"),
    ],
)
def test_a_wrong_command_is_one_message_and_status_2(
    jepa_vl: Command, argv: tuple[str, ...], says: str
) -> None:
    status, out, err = jepa_vl(*argv)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_no_command_shows_the_help_as_an_error(jepa_vl: Command) -> None:
    status, out, err = jepa_vl()
    assert (status, out) == (2, "")
    assert "usage: jepa-vl VERB" in err


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_the_help_of_a_verb_is_grouped_and_short_enough_to_read(jepa_vl: Command, verb: str) -> None:
    status, out, _ = jepa_vl(verb, "--help")
    assert status == 0
    lines = out.splitlines()
    assert [line for line in lines if line in ("Recipe", "Parts", "Trainer (Lightning's)")] == [
        "Recipe",
        "Parts",
        "Trainer (Lightning's)",
    ]
    assert len(lines) < 90
    assert max(map(len, lines)) <= 100
    assert not any(line != line.rstrip() for line in lines)
    for option in ("--config", "--ckpt_path", "--objective.loss NAME", "--trainer.max_steps INT", "info_nce"):
        assert option in out


def test_every_verb_of_the_help_exists(jepa_vl: Command) -> None:
    from jepa_vl.__main__ import VERBS

    for verb in VERBS:
        assert jepa_vl(verb, "--help")[0] == 0
