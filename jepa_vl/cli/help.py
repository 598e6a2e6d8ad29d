"""``jepa-vl fit --help``: what a recipe can say, grouped, with the trainer's own arguments."""

from __future__ import annotations

import sys

from lightning import Trainer
from rich.console import Console
from rich.table import Table

from jepa_vl import registry
from jepa_vl.__main__ import VERBS
from jepa_vl.recipe.arguments import REQUIRED, Argument, arguments_of, type_text
from jepa_vl.recipe.resolve import PARTS, PLAIN

#: What most runs set; the trainer's other arguments are named only.
COMMON = (
    "max_steps",
    "max_epochs",
    "max_time",
    "val_check_interval",
    "limit_val_batches",
    "log_every_n_steps",
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "gradient_clip_val",
    "accumulate_grad_batches",
    "fast_dev_run",
    "logger",
    "callbacks",
)

NOTES = {
    "fit": "The folder gets checkpoints/last.ckpt and best.ckpt, config.yaml (the whole recipe; --config "
    "runs it again) and TensorBoard's events. An earlier run of that name is renamed to NAME.1, NAME.2, … "
    "With --ckpt_path last, training goes on in the same folder, in the middle of an epoch if need be.",
    "validate": "Without --ckpt_path it takes the best checkpoint of runs/NAME.",
    "test": "Without --ckpt_path it takes the best checkpoint of runs/NAME. Writes runs/NAME/results.json.",
    "predict": "Without --ckpt_path it takes the best checkpoint of runs/NAME. Writes "
    "runs/NAME/predictions.jsonl.",
}


def print_help(verb: str) -> int:
    """Print the help of a verb; returns the exit status."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=100)
    with console.capture() as captured:
        _print(console, verb)
    # rich fills every line of a table up to its width
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    return 0


def _print(console: Console, verb: str) -> None:
    def say(text: str = "", style: str | None = None) -> None:
        console.print(text, markup=False, style=style)

    say(f"usage: jepa-vl {verb} --config RECIPE [--config RECIPE ...] [--key.subkey VALUE ...]")
    say()
    say(f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}. {NOTES[verb]}")
    say()
    say("Recipe", "bold")
    rows = [
        (
            "-c, --config FILE",
            "a recipe; of several, the later go over the earlier, and --key VALUE over all",
        ),
        *((f"--{a.name} {_value(a)}", _text(a)) for a in PLAIN.values()),
        ("--print_config", "print the recipe with everything filled in, and stop"),
    ]
    console.print(_rows(rows))
    say()
    say("Parts", "bold")
    rows = []
    for key, group in PARTS.items():
        rows.append((f"--{key} NAME", ", ".join(registry.names(group))))
    rows.append(
        ("--objective.ARG VALUE", "an argument of the chosen part; of a part in it: --objective.loss.ARG")
    )
    rows.append(("--objective.help NAME", "what NAME is and takes, as `jepa-vl plugins show NAME`"))
    for word, group_of_word in registry.KEYS.items():
        if word not in PARTS:
            rows.append((f"--objective.{word} NAME", ", ".join(registry.names(group_of_word.name))))
    console.print(_rows(rows))
    say()
    say("Trainer (Lightning's)", "bold")
    arguments = arguments_of(Trainer)
    console.print(_rows([(f"--trainer.{n} {_value(arguments[n])}", _text(arguments[n])) for n in COMMON]))
    others = ", ".join(n for n in arguments if n not in COMMON)
    say(f"  and {others}")


def _value(argument: Argument) -> str:
    text = type_text(argument.hint)
    text = text.removesuffix(" or null")
    return text.upper() if " " not in text else "VALUE"


def _text(argument: Argument) -> str:
    # Lightning says the whole story; its first sentence will do
    text = argument.help.split("Default: ``")[0].split(". ")[0].strip(" .").replace("``", "")
    default = argument.default
    return text if default is REQUIRED or default in (None, []) else f"{text} (default: {default})"


def _rows(rows: list[tuple[str, str]]) -> Table:
    """Two columns, the left one of one width in all groups."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=39, no_wrap=True, overflow="ignore")
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(f"  {left}", right)
    return table
