"""``jepa-vl plugins list`` and ``plugins show NAME``: every part a recipe can name."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from jepa_vl import registry
from jepa_vl.cli.argv import read_argv
from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.arguments import REQUIRED, Argument, arguments_of, type_text

HELP = """\
usage: jepa-vl plugins list [--group GROUP]     a table of every part a recipe can name
       jepa-vl plugins show NAME                its contract, its arguments, a recipe snippet

NAME may be GROUP/NAME where two groups have it. Groups: {groups}.

options:
  --config RECIPE   also what the recipe's `plugins:` register
  --plugins FILE    also what this file registers
"""

WIDE = 10_000  # columns, where no terminal says how many there are: nothing is cut off


def main(argv: Sequence[str]) -> int:
    """Run ``plugins list`` or ``plugins show``; returns the exit status.

    Raises:
        RecipeError: The command is wrong, or the name is unknown.
    """
    words = [w for w in argv if w not in ("-h", "--help")]
    if len(words) < len(argv) or not words:
        text = HELP.format(groups=", ".join(registry.GROUPS))
        (sys.stdout if len(words) < len(argv) else sys.stderr).write(text)
        return 0 if len(words) < len(argv) else 2
    verb, rest = words[0], words[1:]
    if verb not in ("list", "show"):
        raise RecipeError(f"unknown command 'plugins {verb}'; {did_you_mean(verb, ('list', 'show'))}")
    name = None
    if verb == "show":
        if not rest or rest[0].startswith("-"):
            raise RecipeError("`jepa-vl plugins show` needs a name; `jepa-vl plugins list` lists them")
        name, rest = rest[0], rest[1:]
    options = read_argv(rest)
    group = None
    for option, value in options.overrides:
        if option == "group":
            group = registry.known_group(value).name
        elif option != "plugins":
            raise RecipeError(
                f"unknown option --{option}; {did_you_mean(option, ('group', 'config', 'plugins'))}"
            )
    recipe = load_recipe(options.configs, [o for o in options.overrides if o[0] == "plugins"])
    registry.load_local(recipe.values.get("plugins", []))
    return _list(group) if name is None else _show(_find(name, group))


def show_for_key(key: str, name: str) -> int:
    """Show the part ``name`` of a recipe key: ``--objective.loss.help info_nce``."""
    word = key.rsplit(".", 1)[-1]
    if word not in registry.KEYS:
        raise RecipeError(f"--{key}.help: '{word}' names no part; {did_you_mean(word, registry.KEYS)}")
    return _show(registry.entry(registry.KEYS[word].name, name))


def _list(group: str | None) -> int:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("group", "name", "class", "from", "loads"):
        table.add_column(column, overflow="fold")
    entries = registry.entries(group)
    times = Counter((e.group, e.name) for e in entries)
    broken = 0
    for entry in entries:
        loads = _loads(entry, times[entry.group, entry.name])
        broken += loads != "yes"
        table.add_row(entry.group, entry.name, entry.class_path, entry.source, loads)
    console = _console()
    with console.capture() as captured:
        console.print(table)
    # rich fills every line up to the table's width
    lines = [line.rstrip() for line in captured.get().splitlines()]
    if broken:
        lines.append(f"{broken} of {len(entries)} cannot be used")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _loads(entry: registry.Entry, times: int) -> str:
    if times > 1:
        return f"no: {times} parts have this name"
    try:
        entry.load()
    except UserError as error:
        # the cause alone: what and where stand in the other columns
        cause = error.__cause__
        return f"no: {type(cause).__name__}: {cause}" if cause else f"no: {error}"
    return "yes"


def _find(name: str, group: str | None) -> registry.Entry:
    before, slash, after = name.partition("/")
    if slash:
        return registry.entry(registry.known_group(before).name, after)
    if group is not None:
        return registry.entry(group, name)
    groups = sorted({e.group for e in registry.entries() if e.name == name})
    if len(groups) > 1:
        both = " or ".join(f"{g}/{name}" for g in groups)
        raise RecipeError(f"'{name}' is in {len(groups)} groups; say {both}")
    if not groups:
        known = {e.name for e in registry.entries()}
        raise RecipeError(f"nothing is registered as '{name}'; {did_you_mean(name, known)}")
    return registry.entry(groups[0], name)


def _show(entry: registry.Entry) -> int:
    part = entry.load()
    group = registry.GROUPS[entry.group]
    console = _console()

    def say(text: str = "", style: str | None = None) -> None:
        console.print(text, markup=False, style=style)

    say(f"{entry.group}/{entry.name}", "bold")
    say(f"{entry.class_path}, {entry.source}")
    say()
    say(_description(part))
    say()
    say("Contract", "bold")
    module, _, name = group.base.partition(":")
    base = getattr(importlib.import_module(module), name)
    say(
        _indent(
            _description(base)
            if isinstance(base, type)
            else _first_paragraph(importlib.import_module(module))
        )
    )
    say(_indent(f"({group.base.replace(':', '.')})"))
    arguments = arguments_of(part)
    if arguments:
        say()
        say("Arguments", "bold")
        for argument in arguments.values():
            say(_indent(_argument(argument)))
    say()
    say("In a recipe" if group.name != "readers" else "On the command line", "bold")
    say(_indent(_snippet(entry, group, arguments)))
    return 0


def _description(part: Any) -> str:
    """The docstring up to its sections."""
    lines = (inspect.getdoc(part) or "no description").splitlines()
    sections = ("Args:", "Attributes:", "Raises:", "Returns:", "Example:", "Examples:")
    end = next((i for i, line in enumerate(lines) if line.strip() in sections), len(lines))
    return "\n".join(lines[:end]).strip()


def _first_paragraph(module: Any) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0]


def _argument(argument: Argument) -> str:
    default = "required" if argument.default is REQUIRED else f"default {argument.default!r}"
    head = f"{argument.name}: {type_text(argument.hint)}, {default}"
    return f"{head}\n{_indent(argument.help)}" if argument.help else head


def _snippet(entry: registry.Entry, group: registry.Group, arguments: dict[str, Argument]) -> str:
    if group.name == "readers":
        return f"jepa-vl convert {entry.name} --help"
    if not group.keys:
        return f"model: {entry.name}"
    plain = (str, int, float, bool, type(None), list, tuple)
    settings = {
        a.name: "…"
        if a.default is REQUIRED
        else (list(a.default) if isinstance(a.default, tuple) else a.default)
        for a in arguments.values()
        if a.default is REQUIRED or (a.default is not None and isinstance(a.default, plain))
    }
    part: Any = {"class_path": entry.name, "init_args": settings} if settings else {"class_path": entry.name}
    key = group.keys[0]
    value = {key: [part] if key == "tasks" else part}
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)
