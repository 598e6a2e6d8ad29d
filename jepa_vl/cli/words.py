"""What the verbs that use a model share: a parser whose errors are messages, and loading the model."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from jepa_vl.errors import RecipeError, UserError, did_you_mean

if TYPE_CHECKING:
    from jepa_vl.use import Model


class Parser(argparse.ArgumentParser):
    """One verb's options. A wrong command is a `RecipeError` that names the nearest option."""

    def __init__(self, verb: str, description: str, *, examples: Sequence[str] = ()) -> None:
        shown = "\n".join(f"  {example}" for example in examples)
        super().__init__(
            prog=f"jepa-vl {verb}",
            description=description,
            epilog=f"examples:\n{shown}" if shown else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def add_model(self, *, required: bool = True) -> None:
        """Add what every verb that loads a model takes."""
        self.add_argument(
            "--model",
            required=required,
            help="folder of a run, checkpoint, exported folder, hub id owner/model, or recipe of a system"
            + ("" if required else " (the one that made the index)"),
        )
        self.add_argument("--device", help="where to compute: cpu, cuda, cuda:1 … (a GPU if there is one)")
        self.add_argument(
            "--plugins", action="append", default=[], metavar="FILE", help="local plugin the model needs"
        )

    def add_decoder(self) -> None:
        """Add what every verb that has a model say texts takes."""
        self.add_argument(
            "--decoder",
            metavar="RUN|NAME",
            help="what turns embeddings to texts: a run of the objective decoder, or nearest "
            "(the model's own, if it has one)",
        )
        self.add_argument(
            "--texts", metavar="A,B,C|FILE", help="what may be said, for a decoder that chooses among texts"
        )

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong, as one message.

        Raises:
            RecipeError: Always.
        """
        options = [option for action in self._actions for option in action.option_strings]
        unknown = re.match(r"unrecognized arguments: (-\S*)", message)
        if unknown:
            message = (
                f"unknown option {unknown[1]}; {did_you_mean(unknown[1], (o for o in options if len(o) > 2))}"
            )
        raise RecipeError(f"{self.prog}: {message}; `{self.prog} --help` says more")


def asked_for_help(parser: argparse.ArgumentParser, argv: Sequence[str]) -> bool:
    """Print the help if it is asked for."""
    if not {"-h", "--help"} & set(argv):
        return False
    sys.stdout.write(parser.format_help())
    return True


def load_model(arguments: argparse.Namespace) -> Model:
    """Load the model of ``--model``.

    Raises:
        UserError: There is none, the device is not there, or ``--decoder`` was trained for another model.
        RecipeError: There is no such decoder, or the model takes none.
    """
    from transformers.utils.logging import disable_progress_bar

    from jepa_vl.use import load

    disable_progress_bar()  # transformers draws one for each part it loads
    try:
        return load(
            arguments.model,
            decoder=getattr(arguments, "decoder", None),
            device=arguments.device,
            plugins=arguments.plugins,
            progress=True,
        )
    except (RuntimeError, AssertionError) as error:
        if arguments.device is None:
            raise
        raise UserError(f"--device {arguments.device}: {str(error).splitlines()[0]}") from error


def texts(option: str, value: str) -> list[str]:
    """Read ``a,b,c``, or a file of one text a line.

    Raises:
        UserError: The file is not UTF-8 text.
    """
    file = Path(value)
    if not file.is_file():
        if file.suffix == ".txt":
            raise UserError(f"{option}: there is no file '{value}'")
        return [text.strip() for text in value.split(",")]
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{option}: '{value}' is not UTF-8 text; expected one text a line") from error
    return [line.strip() for line in lines if line.strip()]
