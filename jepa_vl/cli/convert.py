"""``jepa-vl convert NAME``: the official annotation files of a benchmark → a manifest."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentError, ArgumentParser

from jepa_vl import registry
from jepa_vl.cli.argv import read_argv
from jepa_vl.cli.convert_help import describe, overview, table
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.readers.base import Reader
from jepa_vl.readers.conversion import Conversion, convert, missing_list
from jepa_vl.recipe.arguments import REQUIRED, Argument, arguments_of, type_text

OWN = ("output", "media", "max_missing", "plugins")


def main(argv: Sequence[str]) -> int:
    """Run ``convert``; returns the exit status.

    Raises:
        RecipeError: The command is wrong, or the benchmark is unknown.
        ManifestError: The annotations are broken, or media are missing.
    """
    if not argv:
        sys.stderr.write(overview())
        return 2
    if argv[0] in ("-h", "--help"):
        sys.stdout.write(overview())
        return 0
    if argv[0] == "--list":
        sys.stdout.write(table())
        return 0
    if argv[0].startswith("-"):
        raise RecipeError(
            f"`jepa-vl convert` needs the name of a benchmark before {argv[0]}; "
            "`jepa-vl convert --list` lists them"
        )
    name = argv[0]
    # --max-missing is --max_missing, as every key of a recipe is written
    typed = read_argv([_underscored(word) for word in argv[1:]])
    registry.load_local([value for option, value in typed.overrides if option == "plugins"])
    kind = _reader(name)
    if typed.help:
        sys.stdout.write(describe(name, kind))
        return 0
    if typed.configs or typed.part_help or typed.print_config:
        raise RecipeError("`jepa-vl convert` takes no recipe; its options: jepa-vl convert NAME --help")
    return _convert(name, kind, dict(typed.overrides))


def _reader(name: str) -> type[Reader]:
    if name not in registry.names("readers"):
        raise RecipeError(f"unknown benchmark '{name}'; {did_you_mean(name, registry.names('readers'))}")
    return cast("type[Reader]", registry.get("readers", name))


def _convert(name: str, kind: type[Reader], typed: dict[str, str]) -> int:
    arguments = arguments_of(kind)
    known = dict.fromkeys([*arguments, *OWN])
    for option in typed:
        if option not in known:
            raise RecipeError(f"convert {name}: unknown option --{option}; {did_you_mean(option, known)}")
    if "media" in typed and not kind.has_media:
        raise RecipeError(f"convert {name}: --media: this benchmark is of texts alone, and no media are read")
    # a reader that looks into the folder of media itself has an argument of that name
    needed = [a.name for a in arguments.values() if a.default is REQUIRED] + ["output"]
    for option in needed:
        if option not in typed:
            raise RecipeError(
                f"convert {name}: --{option} is missing; `jepa-vl convert {name} --help` says what it is"
            )
    settings = {n: _value(name, arguments[n], text) for n, text in typed.items() if n in arguments}
    output = Path(typed["output"])
    media = Path(typed["media"]) if "media" in typed else None
    limit = _limit(typed.get("max_missing", "0"))
    reader = kind(**settings)
    done = convert(reader, output, media=media, max_missing=limit, name=name)
    _report(done, reader.expected(), output)
    return 0


def _value(name: str, argument: Argument, text: str) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=argument.hint)
    try:
        return parser.parse_args([f"--value={text}"]).value
    except ArgumentError as error:
        raise RecipeError(
            f"convert {name}: --{argument.name}: found '{text}', expected {type_text(argument.hint)}"
        ) from error


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit():
        raise RecipeError(f"--max_missing: found '{text}', expected a number of media, or 'all'")
    return int(text)


def _underscored(word: str) -> str:
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value


def _report(done: Conversion, expected: dict[str, int], output: Path) -> None:
    total = done.written.total()
    lines = [f"wrote {output}: {total:,} samples of {done.media - len(done.missing):,} media"]
    lines.append(f"  splits: {_counts(done.written)}")
    if done.kinds:
        lines.append(f"  kinds: {_counts(done.kinds)}")
    if done.labels:
        lines.append(f"  labels: {len(done.labels):,}")
    for split, number in expected.items():
        read, written = done.read[split], done.written[split]
        if written == number:
            lines.append(f"complete: {written:,} of {number:,} in {split}")
        elif read:
            lines.append(_difference(split, number, read, written))
    if done.missing:
        left_out = done.read.total() - total
        lines.append(
            f"warning: {len(done.missing):,} of {done.media:,} media are missing, {left_out:,} samples are "
            f"left out; the media are listed in {missing_list(output)}"
        )
    sys.stdout.write("\n".join(lines) + "\n")


def _difference(split: str, number: int, read: int, written: int) -> str:
    if read == number:
        return f"incomplete: {written:,} of {number:,} in {split}, {number - written:,} have no media"
    more = "more" if read > number else "fewer"
    return (
        f"warning: the annotations hold {read:,} in {split}, {abs(read - number):,} {more} than the "
        f"{number:,} of the published set; is it another version, or a part of it?"
    )


def _counts(counts: Counter[str], most: int = 12) -> str:
    shown = [f"{name} {n:,}" for name, n in counts.most_common(most)]
    return ", ".join([*shown, *([f"and {len(counts) - most} more"] if len(counts) > most else [])])
