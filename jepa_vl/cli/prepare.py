"""``jepa-vl prepare``: a manifest, or a recipe's data → shards of pictures or of frozen tokens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from jepa_vl.cli.words import Parser, asked_for_help
from jepa_vl.errors import RecipeError

#: What belongs to the recipe, and not to this verb.
_RECIPE = re.compile(
    r"-c|--(config|plugins|seed_everything|objective|data|trainer)(=.*)?|--[A-Za-z_]\w*\.[\w.]+(=.*)?",
    re.DOTALL,
)


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        RecipeError: The command is wrong.
        UserError: Media cannot be read, the place cannot be written, or holds something else.
    """
    own, recipe = split_argv(argv)
    parser = _parser()
    if asked_for_help(parser, own):
        return 0
    options = parser.parse_args(own)
    if options.inspect is not None:
        if recipe or options.manifest or options.output is not None:
            raise RecipeError("jepa-vl prepare: --inspect takes a PLACE and --sheet, and nothing else")
        from jepa_vl.cli.inspection import inspect

        return inspect(options.inspect, options.sheet)
    _check(options, recipe)
    from jepa_vl.cli.preparation import run

    return run(options, recipe)


def split_argv(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of this verb, and those of the recipe: ``--config FILE``, ``--key.subkey VALUE``."""
    own: list[str] = []
    recipe: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not _RECIPE.fullmatch(word):
            own.append(word)
            continue
        recipe.append(word)
        if "=" not in word and words and not words[0].startswith("--"):
            recipe.append(words.pop(0))
    return own, recipe


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "prepare",
        "Make litdata shards of the clips of a manifest, or of a recipe's data: pictures, decoded and\n"
        "resized once, or (--features) the tokens of the recipe's frozen vision encoder. A clip is stored\n"
        "once, however many samples show it. Run it again to go on after it was stopped. The data module\n"
        "`shards` reads the result. Any key of the recipe may be given: --data.train_clips 100.",
        examples=(
            "jepa-vl prepare --config recipes/quickstart.yaml --output shards/frames",
            "jepa-vl prepare --config recipes/quickstart.yaml --features --output s3://bucket/features",
            "jepa-vl prepare my/data.jsonl --size 224 --frames 16 --output shards/mine",
            "jepa-vl prepare --inspect shards/frames",
        ),
    )
    add = parser.add_argument
    add("manifest", nargs="*", metavar="MANIFEST", help="JSONL files (the recipe's data)")
    add("--output", metavar="PLACE", help="folder, or s3://bucket/prefix")
    add("--features", action="store_true", help="store the tokens of the recipe's frozen vision encoder")
    add("--pool", type=int, metavar="P", help="tokens of P × P cells become one (vision encoder `pooled`)")
    add("--dtype", choices=("float32", "float16", "bfloat16"), help="number format of tokens (bfloat16)")
    add("--size", type=int, metavar="S", help="side of a picture in pixels, without a recipe")
    add("--frames", type=int, metavar="T", help="frames of a clip, without a recipe")
    add("--quality", type=int, metavar="Q", help="of JPEG, from 1 to 100 (95)")
    add("--lossless", action="store_true", help="store pictures as PNG")
    add("--shard-mib", type=float, default=64.0, metavar="MIB", help="size of a shard (64)")
    add(
        "--max-bad",
        type=int,
        metavar="N",
        help="clips that may be unreadable (the recipe's max_bad_media, or 0)",
    )
    add("--batch-size", type=int, default=16, metavar="B", help="clips encoded together (16)")
    add("--workers", type=int, metavar="N", help="reading processes of each process (one for each processor)")
    add("--inspect", metavar="PLACE", help="show what is in a prepared set, and draw a contact sheet")
    add("--sheet", metavar="FILE", help="where --inspect draws it (contact-sheet.png in the set's folder)")
    return parser


def _check(options: argparse.Namespace, recipe: Sequence[str]) -> None:
    """Refuse options that do not go together.

    Raises:
        RecipeError: Names them.
    """
    described = any(word.partition("=")[0] in ("-c", "--config") for word in recipe)
    sized = options.size is not None or options.frames is not None
    problems = {
        "--output is missing; expected a folder or s3://bucket/prefix": options.output is None,
        "--sheet goes with --inspect": options.sheet is not None,
        "keys of a recipe need one (--config)": bool(recipe) and not described,
        "give a MANIFEST, or a recipe by --config": not described and not options.manifest,
        "--features needs a recipe (--config), whose vision encoder it runs": options.features
        and not described,
        "without a recipe, --size and --frames say how clips are read": not described
        and (options.size is None or options.frames is None),
        "--size and --frames are what a recipe's vision encoder says; give one or the other": described
        and sized,
        "--quality and --lossless exclude each other": options.quality is not None and options.lossless,
        "--quality and --lossless are of pictures, and --features stores tokens": options.features
        and (options.quality is not None or options.lossless),
        "--pool and --dtype are of tokens; they need --features": not options.features
        and (options.pool is not None or options.dtype is not None),
        "--quality must be from 1 to 100": options.quality is not None and not 1 <= options.quality <= 100,
        "--shard-mib must be positive": not options.shard_mib > 0,
        "--size, --frames, --pool and --batch-size must be at least 1": any(
            value is not None and value < 1
            for value in (options.size, options.frames, options.pool, options.batch_size)
        ),
        "--max-bad and --workers must not be negative": any(
            value is not None and value < 0 for value in (options.max_bad, options.workers)
        ),
    }
    for problem, there in problems.items():
        if there:
            raise RecipeError(f"jepa-vl prepare: {problem}; `jepa-vl prepare --help` says more")
