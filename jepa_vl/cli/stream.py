"""``jepa-vl stream``: what a video or a camera shows, said when its meaning changes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_vl.cli.words import Parser, asked_for_help, load_model, texts
from jepa_vl.errors import RecipeError, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from jepa_vl.streaming.event import Event
    from jepa_vl.streaming.live.runner import StreamRun
    from jepa_vl.streaming.live.writers import Writer

STOPPED = 130  # exit status of a command that Ctrl-C has ended


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        RecipeError: The command is wrong, or the rate cannot be met.
        UserError: The model cannot say anything, or the video cannot be read.
    """
    parser = _parser()
    if asked_for_help(parser, argv):
        return 0
    arguments = parser.parse_args(list(argv))
    from jepa_vl import registry
    from jepa_vl.streaming.live.choice import choose_rate, named_policy
    from jepa_vl.streaming.live.source import open_source
    from jepa_vl.streaming.live.windows import check_windows
    from jepa_vl.streaming.live.writers import check_outputs

    # what is wrong is said before the model is loaded, which takes seconds
    outputs = [Path(name) for name in arguments.output]
    check_outputs(outputs)
    report = _report_file(arguments.report)
    check_windows(arguments.window, arguments.stride)
    choose_rate(arguments.rate, arguments.threshold, arguments.stride)
    registry.load_local(arguments.plugins)
    named_policy(arguments.policy or "online", arguments.threshold)
    allowed = None if arguments.texts is None else texts("--texts", arguments.texts)
    source = open_source(arguments.video, timeout=arguments.timeout)
    from jepa_vl.streaming.live.runner import StreamRun
    from jepa_vl.streaming.live.writers import open_writer

    run = StreamRun(
        load_model(arguments),
        source,
        policy=arguments.policy,
        rate=arguments.rate,
        threshold=arguments.threshold,
        window=arguments.window,
        stride=arguments.stride,
        query=arguments.query,
        texts=allowed,
        timeout=arguments.timeout,
        record=report is not None,
    )
    events: list[Event] = []
    status = 0
    try:
        _follow(run, [open_writer(path) for path in outputs], events, as_json=arguments.json)
    except KeyboardInterrupt:
        status = STOPPED
    except UserError:
        if run.tally.windows:  # what came before it counts
            _conclude(run, events, report, arguments, how="cut off; ")
        raise
    _conclude(run, events, report, arguments, how="stopped; " if status else "")
    return status


def _parser() -> Parser:
    parser = Parser(
        "stream",
        "Say what a video or a camera shows, with times, when its meaning changes. Needs a model that says\n"
        "texts: one with a decoder, or a language model, which speaks at a fixed stride. Ctrl-C ends it;\n"
        "what was written until then stays.",
        examples=(
            "jepa-vl stream walk.mp4 --model runs/quickstart --decoder runs/decoder",
            "jepa-vl stream walk.mp4 --model runs/quickstart --decoder runs/decoder --rate 0.2 "
            "--output walk.srt --report walk.html",
            "jepa-vl stream camera:0 --model runs/quickstart --decoder runs/decoder --output seen.jsonl",
        ),
    )
    parser.add_argument("video", metavar="VIDEO", help="path or URL of a video, or a camera: camera:0")
    how_often = parser.add_mutually_exclusive_group()
    how_often.add_argument(
        "--rate", type=float, metavar="HZ", help="texts a second, on average (0.35); at most one a stride"
    )
    how_often.add_argument(
        "--threshold", type=float, metavar="X", help="of the policy online: how much change makes a text"
    )
    parser.add_argument("--policy", metavar="NAME", help="when to speak (online; uniform without embeddings)")
    parser.add_argument(
        "--window", type=float, default=1.0, metavar="S", help="seconds looked at at once (1)"
    )
    parser.add_argument(
        "--stride", type=float, default=0.5, metavar="S", help="seconds from one window to the next (0.5)"
    )
    parser.add_argument("--query", default="", help="what is asked of each window (nothing)")
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="write the texts there: .jsonl, .srt or .vtt; may be repeated",
    )
    parser.add_argument("--report", metavar="FILE.html", help="write a page with the whole timeline")
    parser.add_argument("--json", action="store_true", help="one JSON object a text and line")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="when a silent live stream has stalled (10)"
    )
    parser.add_decoder()
    parser.add_model()
    return parser


def _report_file(name: str | None) -> Path | None:
    """Return where the report goes.

    Raises:
        RecipeError: It could not be written there in the end, or the name is that of another kind of file.
    """
    if name is None:
        return None
    file = Path(name)
    if file.suffix.lower() not in (".html", ".htm"):
        raise RecipeError(f"--report {name}: expected a file that ends with .html")
    if not file.parent.is_dir():
        raise RecipeError(f"--report {name}: there is no folder '{file.parent}'")
    if file.is_dir():
        raise RecipeError(f"--report {name}: it is a folder")
    return file


def _follow(run: StreamRun, writers: Sequence[Writer], events: list[Event], *, as_json: bool) -> None:
    """Show and write the events as they come, and add them to ``events`` where a report wants them."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    keep = run.recording is not None
    try:
        for event in run:
            for writer in writers:
                writer.write(event)
            if keep:
                events.append(event)
            if as_json:
                sys.stdout.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                _show(console, event)
    finally:
        run.close()
        for writer in writers:
            writer.close(run.reached)


def _show(console: Console, event: Event) -> None:
    from rich.text import Text

    from jepa_vl.use.clock import clock

    after = f"  +{event.latency:.1f} s"
    console.print(Text.assemble((f"{clock(event.time):>9}  ", "cyan"), event.text, (after, "dim")))


def _conclude(
    run: StreamRun, events: Sequence[Event], report: Path | None, arguments: argparse.Namespace, *, how: str
) -> None:
    """Say what was done, what was skipped, and where the time went; write the report that is wanted.

    Args:
        run: Has ended.
        events: What was said.
        report: Where the page goes.
        arguments: Of the command.
        how: How it ended, said before all else; nothing where the video ended.
    """
    out = sys.stderr if arguments.json else sys.stdout
    out.write(how + "\n".join(summary(run)) + "\n")
    if report is not None:
        _report(run, events, report, model=arguments.model)


def summary(run: StreamRun) -> list[str]:
    """Return what a run has done, in lines."""
    tally = run.tally
    fewer = f", {tally.windows / tally.decodes:.1f} times fewer than one a window" if tally.decodes else ""
    asked = "" if run.rate is None else f" of {run.rate:.3g} asked for"
    lines = [
        f"{run.source.name}: {_count(tally.windows, 'window')} in {tally.seconds:.1f} s, "
        f"{_count(tally.decodes, 'decode')}"
        f"{fewer} ({tally.rate:.3g} Hz{asked}, policy {run.policy.label})"
    ]
    if tally.gaps:
        lines.append(f"{_count(tally.gaps, 'window')} passed over: no frame begins in them")
    if tally.behind:
        lines.append(f"{_count(tally.behind, 'window')} skipped to keep up with the live stream")
    pace = "keeps up with real time" if tally.factor <= 1 else "slower than real time"
    shares = ", ".join(f"{phase} {share:.0%}" for phase, share in tally.shares().items())
    lines.append(f"{tally.factor:.2f} s of computing a second of stream ({pace}): {shares}")
    return lines


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def _report(run: StreamRun, events: Sequence[Event], path: Path, *, model: str) -> None:
    from jepa_vl.streaming.report import write_report

    assert run.recording is not None
    tally = run.tally
    facts = {
        "model": model,
        "policy": run.policy.label,
        "rate asked for": "by threshold" if run.rate is None else f"{run.rate:.3g} Hz",
        "rate reached": f"{tally.rate:.3g} Hz",
        "windows": f"{tally.windows}",
        "decodes": f"{tally.decodes}",
        "computing": f"{tally.factor:.2f} s a second of stream",
        **{f"time in {phase}": f"{share:.0%}" for phase, share in tally.shares().items()},
    }
    write_report(
        path,
        stream=run.embedded(),
        events=events,
        scores=run.recording.scores,
        thresholds=run.recording.thresholds,
        thumbnails=run.recording.thumbnails.pictures,
        title=run.source.name,
        facts=facts,
    )
