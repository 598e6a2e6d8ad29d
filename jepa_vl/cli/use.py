"""``jepa-vl embed``, ``classify``, ``ask``, ``caption`` and ``export``: a trained model from the shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jepa_vl.cli.words import Parser, asked_for_help, load_model, texts
from jepa_vl.errors import RecipeError, UserError

MODEL = "--model runs/quickstart"


def main(verb: str, argv: Sequence[str]) -> int:
    """Run a verb; returns the exit status.

    Raises:
        RecipeError: The command is wrong.
        UserError: The model, a video, or what is asked cannot be used.
    """
    parser, run = _verbs()[verb]
    if asked_for_help(parser, argv):
        return 0
    run(parser.parse_args(list(argv)))
    return 0


def _verbs() -> dict[str, tuple[Parser, Callable[[argparse.Namespace], None]]]:
    embed = Parser(
        "embed",
        "Embed videos as unit vectors of the space that texts live in.",
        examples=(f"jepa-vl embed a.mp4 b.mp4 {MODEL} --output embeddings.npy",),
    )
    _add_videos(embed)
    embed.add_argument("--query", default="", help="what is asked of the video (nothing)")
    embed.add_argument("--output", metavar="FILE.npy", help="write float32 [videos, width] there")

    classify = Parser(
        "classify",
        "Choose among class names by their texts; no training on the classes is needed.",
        examples=(
            f"jepa-vl classify a.mp4 {MODEL} --labels 'open the door,close the door'",
            f"jepa-vl classify a.mp4 b.mp4 {MODEL} --labels classes.txt --top 1 --json",
        ),
    )
    _add_videos(classify)
    classify.add_argument(
        "--labels", required=True, metavar="A,B,C|FILE", help="class names, or a file of one a line"
    )
    classify.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="text that a class name is put into at {}; may be repeated, and is averaged over",
    )
    classify.add_argument("--query", default="", help="what is asked of the video (nothing)")
    classify.add_argument("--top", type=_positive, default=5, help="how many classes are shown (5)")

    ask = Parser(
        "ask",
        "Answer a question about a video by the likeliest of the candidates; without them, in free words:\n"
        "that needs a model that generates, one with a decoder or a language model.",
        examples=(
            f"jepa-vl ask a.mp4 'is the door open?' {MODEL} --candidates yes,no",
            f"jepa-vl ask a.mp4 'what colour is the door?' {MODEL} --decoder runs/decoder",
        ),
    )
    ask.add_argument("videos", nargs=1, metavar="VIDEO", help="path or URL")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("--candidates", metavar="A,B,C|FILE", help="answers, or a file of one a line")
    ask.add_decoder()

    caption = Parser(
        "caption",
        "Say what a video shows; needs a model that generates: one with a decoder, or a language model.",
        examples=(
            f"jepa-vl caption a.mp4 {MODEL} --decoder runs/decoder",
            f"jepa-vl caption a.mp4 {MODEL} --decoder nearest --texts sentences.txt",
            "jepa-vl caption a.mp4 --model runs/quickstart-token",
        ),
    )
    _add_videos(caption)
    caption.add_argument("--query", default="", help="what is asked of the video (nothing)")
    caption.add_decoder()

    export = Parser(
        "export",
        "Write a trained run as a folder: model.safetensors, recipe.yaml, config.json, README.md.\n"
        "A decoder is written with it: the folder needs no run.",
        examples=(
            "jepa-vl export runs/quickstart --output quickstart-model",
            "jepa-vl export runs/quickstart --decoder runs/decoder --output quickstart-model",
        ),
    )
    export.add_argument("run", metavar="RUN", help="folder of a run, or a checkpoint")
    export.add_argument("--output", required=True, metavar="DIR", help="the folder; new or empty")
    export.add_decoder()
    export.add_argument("--plugins", action="append", default=[], metavar="FILE", help=argparse.SUPPRESS)
    export.set_defaults(device="cpu")

    for parser in (embed, classify, ask, caption):
        parser.add_model()
        parser.add_argument("--json", action="store_true", help="one JSON object a video and line")
    return {
        "embed": (embed, _embed),
        "classify": (classify, _classify),
        "ask": (ask, _ask),
        "caption": (caption, _caption),
        "export": (export, _export),
    }


def _add_videos(parser: Parser) -> None:
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="path or URL of a video, an image or a folder of frames"
    )


def _embed(arguments: argparse.Namespace) -> None:
    output = None if arguments.output is None else Path(arguments.output)
    if output is not None and not output.parent.is_dir():
        raise UserError(f"--output: there is no folder '{output.parent}'")
    import numpy as np

    model = load_model(arguments)
    embeddings = model.embed_video(arguments.videos, arguments.query)  # [B, E]
    if output is not None:
        with output.open("wb") as file:
            np.save(file, embeddings.numpy())
        if not arguments.json:
            _say(f"{len(embeddings)} × {embeddings.shape[1]} float32 in {output}")
            return
    for video, row in zip(arguments.videos, embeddings.tolist(), strict=True):
        if arguments.json:
            _say(json.dumps({"video": video, "embedding": row}, ensure_ascii=False))
        else:
            _say(f"{video}: {' '.join(f'{value:.3f}' for value in row[:6])} … ({len(row)} numbers)")


def _classify(arguments: argparse.Namespace) -> None:
    labels = texts("--labels", arguments.labels)
    model = load_model(arguments)
    found = model.classify(
        arguments.videos,
        labels,
        templates=arguments.template or ("{}",),
        query=arguments.query,
        top=arguments.top,
    )
    for video, matches in zip(arguments.videos, found, strict=True):
        _show(arguments, {"video": video}, matches, "label")


def _ask(arguments: argparse.Namespace) -> None:
    if arguments.candidates is None:
        _say_texts(arguments, arguments.question)
        return
    if arguments.decoder is not None or arguments.texts is not None:
        raise RecipeError(
            "--candidates are chosen from without a decoder; leave out --decoder and --texts, or --candidates"
        )
    candidates = texts("--candidates", arguments.candidates)
    model = load_model(arguments)
    [matches] = model.answer(arguments.videos, arguments.question, candidates)
    _show(arguments, {"video": arguments.videos[0], "question": arguments.question}, matches, "answer")


def _caption(arguments: argparse.Namespace) -> None:
    _say_texts(arguments, arguments.query)


def _say_texts(arguments: argparse.Namespace, query: str) -> None:
    """Write what the model says of each video, asked a query."""
    allowed = _allowed(arguments)
    model = load_model(arguments)
    said = model.caption(arguments.videos, query, texts=allowed)
    for video, text in zip(arguments.videos, said, strict=True):
        row = {"video": video, "query": query, "text": text}
        _say(json.dumps(row, ensure_ascii=False) if arguments.json else f"{video}: {text}")


def _export(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output: '{output}' is there already and not empty; name a new folder")
    allowed = _allowed(arguments)
    arguments.model = arguments.run
    model = load_model(arguments)
    if allowed is not None:
        model.tell_texts(allowed)
    model.save_pretrained(output)
    for file in sorted(output.iterdir()):
        _say(f"{file}  {file.stat().st_size / 2**20:.1f} MiB")


def _allowed(arguments: argparse.Namespace) -> list[str] | None:
    """Return the texts of ``--texts``."""
    return None if arguments.texts is None else texts("--texts", arguments.texts)


def _show(arguments: argparse.Namespace, about: dict[str, str], matches: Sequence[Any], what: str) -> None:
    """Write what a video was matched with: a small table, or one line of JSON."""
    if arguments.json:
        rows = [{what: match.text, "score": round(match.score, 6)} for match in matches]
        _say(json.dumps({**about, f"{what}s": rows}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(" · ".join(about.values()), style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for i, match in enumerate(matches):
        table.add_row(f"{match.score:.3f}", Text(match.text), style="green" if i == 0 else None)
    console.print(table)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found '{text}'")
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
