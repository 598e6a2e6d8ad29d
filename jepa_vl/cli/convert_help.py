"""What ``jepa-vl convert`` says about itself and about each benchmark."""

from __future__ import annotations

import inspect
import io
import textwrap

from rich.console import Console
from rich.table import Table

from jepa_vl import registry
from jepa_vl.errors import UserError
from jepa_vl.readers.base import About, Reader
from jepa_vl.recipe.arguments import REQUIRED, Argument, arguments_of, type_text

WIDTH = 100

OVERVIEW = """\
usage: jepa-vl convert NAME --annotations FILE --media DIR --output MANIFEST [--max-missing N]
       jepa-vl convert NAME --help      what it reads, and where that comes from
       jepa-vl convert --list           a table of every benchmark

Turns the official annotation files of a benchmark, or of a training set, into a manifest.

benchmarks: {names}
"""

COMMON = (
    ("output", "FILE", "the manifest to write; it appears whole or not at all"),
    ("media", "DIR", "the folder of media; they are found by name, whatever the container"),
    (
        "max-missing",
        "N",
        "how many media may be missing, or `all`; their samples are left out and the media listed in "
        "OUTPUT.missing.txt (default: 0)",
    ),
    ("plugins", "FILE", "a Python file that registers readers of your own"),
)
OF_MEDIA = ("media", "max-missing")


def overview() -> str:
    """Return the help of the verb."""
    text = OVERVIEW.format(names=", ".join(registry.names("readers")))
    return "".join(
        textwrap.fill(line, WIDTH, subsequent_indent="  ") + "\n" if line.startswith("bench") else line + "\n"
        for line in text.splitlines()
    )


def table() -> str:
    """Return a table of every benchmark, one a line; plugins that cannot be loaded say why."""
    rows = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("name", "task", "split", "samples", "metric"):
        rows.add_column(column, no_wrap=True, justify="right" if column == "samples" else "left")
    for entry in registry.entries("readers"):
        try:
            about: About = entry.load().about
        except UserError as error:
            rows.add_row(entry.name, "", "", "", f"cannot be used: {error}")
            continue
        samples = f"{sum(about.expected.values()):,}" if about.expected else "?"
        rows.add_row(entry.name, about.task, about.split, samples, about.metric)
    out = io.StringIO()
    Console(file=out, width=1_000, highlight=False).print(rows)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def describe(name: str, reader: type[Reader]) -> str:
    """Return the help of one benchmark: its flags, and what a user must know about it."""
    about = reader.about
    arguments = arguments_of(reader)
    own = [a for a in arguments.values() if a.name != "media"]
    required = " ".join(f"--{a.name.replace('_', '-')} {_metavar(a)}" for a in own if a.default is REQUIRED)
    media = (" --media DIR", " [--max-missing N]") if reader.has_media else ("", "")
    lines = [
        f"usage: jepa-vl convert {name} {required}{media[0]} --output FILE{media[1]}",
        "",
        (inspect.getdoc(reader) or "").split("\n\nArgs:")[0],
        "",
        "options:",
        *(_flag(a) for a in own),
        *(_row(f"--{option} {value}", text) for option, value, text in _common(arguments, reader)),
        "",
        "about:",
    ]
    expected = ", ".join(f"{split} {n:,}" for split, n in about.expected.items()) or "no number is published"
    facts = {
        "title": about.title,
        "task": about.task,
        "split": about.split,
        "metric": about.metric,
        "samples": expected,
        "homepage": about.homepage,
        "licence": about.licence,
    }
    lines += [_row(fact, text) for fact, text in facts.items()]
    if about.assumptions:
        lines += ["", "assumptions, where the public description leaves something open:"]
        lines += [_wrapped(text, "  - ", "    ") for text in about.assumptions]
    return "\n".join(lines) + "\n"


def _common(arguments: dict[str, Argument], reader: type[Reader]) -> list[tuple[str, str, str]]:
    """The flags of every benchmark; a reader that uses the folder of media itself says for what."""
    if not reader.has_media:
        return [row for row in COMMON if row[0] not in OF_MEDIA]
    media = arguments["media"].help.replace("``", "") if "media" in arguments else None
    return [(o, v, media if o == "media" and media else text) for o, v, text in COMMON]


def _flag(argument: Argument) -> str:
    default = argument.default
    text = argument.help.replace("``", "")
    if default is not REQUIRED and default is not None:
        shown = f"[{','.join(map(str, default))}]" if isinstance(default, tuple | list) else str(default)
        text = f"{text} (default: {shown.lower() if isinstance(default, bool) else shown})"
    return _row(f"--{argument.name.replace('_', '-')} {_metavar(argument)}", text)


def _metavar(argument: Argument) -> str:
    text = type_text(argument.hint).removesuffix(" or null")
    if text == "str":
        return "TEXT" if argument.default is not REQUIRED and argument.default is not None else "FILE"
    if text.partition(" of ")[0] in ("tuple", "list"):
        return "[A,B,...]"
    return {"float": "NUMBER", "int": "N", "bool": "true|false"}.get(
        text, text.removeprefix("one of ").replace("'", "").replace(", ", "|")
    )


def _row(left: str, text: str) -> str:
    if len(left) > 24:
        return f"  {left}\n{_wrapped(text, ' ' * 28, ' ' * 28)}"
    return _wrapped(text, f"  {left:<24}  ", " " * 28)


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
