"""``jepa-vl index``: embeds every window of every video of a folder, to be searched by text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jepa_vl.cli.words import Parser, asked_for_help, load_model
from jepa_vl.errors import UserError

SHOWN = 5  # unreadable files that are named; the rest is counted


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        RecipeError: The command is wrong.
        UserError: The model or the folder cannot be used, or the index was made with others.
    """
    parser = Parser(
        "index",
        "Embed every window of every video (and every image) of a folder, so that texts find them.\n"
        "Run it again to bring the index up to date, or to go on after it was stopped: files that have\n"
        "not changed are not read again. Files that cannot be read are listed and passed over.",
        examples=(
            "jepa-vl index videos --model runs/quickstart --output videos-index",
            "jepa-vl search videos-index 'a door is opened'",
        ),
    )
    parser.add_argument("folder", metavar="FOLDER", help="videos and images, in folders or not")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the index is kept")
    parser.add_argument("--window", type=float, default=4.0, metavar="S", help="seconds embedded at once (4)")
    parser.add_argument(
        "--stride", type=float, default=2.0, metavar="S", help="seconds from one window to the next (2)"
    )
    parser.add_model()
    if asked_for_help(parser, argv):
        return 0
    arguments = parser.parse_args(list(argv))
    folder, output = Path(arguments.folder), Path(arguments.output)
    if not folder.is_dir():  # before the model is loaded, which takes seconds
        raise UserError(f"there is no folder '{folder}'")
    from jepa_vl.use.indexing import index_folder

    model = load_model(arguments)
    model.progress = False  # files are counted, not batches
    place = Path(arguments.model).expanduser()
    done = index_folder(
        model,
        folder,
        output,
        source=str(place.resolve()) if place.exists() else arguments.model,
        window=arguments.window,
        stride=arguments.stride,
    )
    sys.stdout.write(
        f"{output}: {done.windows} windows; {done.added} files read, {done.kept} unchanged, "
        f"{done.removed} gone, {len(done.unreadable)} unreadable\n"
    )
    for path, reason in list(done.unreadable.items())[:SHOWN]:
        sys.stdout.write(f"  cannot read {path}: {reason}\n")
    if len(done.unreadable) > SHOWN:
        sys.stdout.write(f"  and {len(done.unreadable) - SHOWN} more\n")
    return 0
