"""``jepa-vl evaluate``: a suite of benchmarks on several models, and one table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jepa_vl.cli.options import read_options
from jepa_vl.errors import RecipeError

HELP = """\
usage: jepa-vl evaluate --suite SUITE --model [NAME=]MODEL[,decoder=RUN] [--model …] [--output FOLDER]
                        [--key VALUE …]

Run a suite of benchmarks on models, and write one table.

  --suite SUITE         a suite recipe, recipes/suites/babyai.yaml say
  --model [NAME=]MODEL[,decoder=RUN]
                        a run's folder, a checkpoint, an exported folder, a hub id owner/model, or the recipe
                        of a system that needs no training; several times for several models. The first one,
                        or the suite's baseline, is what the others are compared with, sample by sample.
                        Texts are said by the model's own decoder, if it has one, or by the run of the
                        objective decoder that is named here, or by nearest
  --output FOLDER       runs/evaluate/SUITE by default. Gets table.md, table.html, table.tex, table.json and
                        MODEL/BENCHMARK/results.json; what is finished there is not run again
  --KEY VALUE           anything of the suite, --trainer.accelerator cpu say
"""
OPTIONS = ("--suite", "--model", "--output")


def main(argv: Sequence[str]) -> int:
    """Run ``evaluate``; returns the exit status.

    Raises:
        RecipeError: The command or the suite is wrong.
        UserError: A model cannot be built.
    """
    if not argv or any(word in ("-h", "--help") for word in argv):
        (sys.stdout if argv else sys.stderr).write(HELP)
        return 0 if argv else 2
    suite, models, output, overrides = _read(argv)
    if suite is None:
        raise RecipeError("`jepa-vl evaluate` needs --suite SUITE, recipes/suites/babyai.yaml say")
    if not models:
        raise RecipeError(
            "`jepa-vl evaluate` needs --model PATH: a run's folder, a checkpoint, an exported folder, a "
            "hub id or a system's recipe"
        )
    from jepa_vl.cli.suite import evaluate

    return evaluate(suite, models, output, overrides)


def _read(argv: Sequence[str]) -> tuple[str | None, list[str], Path | None, list[tuple[str, str]]]:
    suite: str | None = None
    models: list[str] = []
    output: Path | None = None
    overrides: list[tuple[str, str]] = []
    for option, value in read_options(argv, OPTIONS, flags=()):
        if option == "--suite":
            suite = value
        elif option == "--model":
            models.append(value)
        elif option == "--output":
            output = Path(value)
        else:
            overrides.append((option[2:], value))
    return suite, models, output, overrides
