"""Run every benchmark of this folder, each in a process of its own, and write what they print to one page.

Run    python benchmarks/run.py                     # all of them: `make bench`
       python benchmarks/run.py --only loss         # some; the sections of the others stay as they are
       python benchmarks/run.py --small --output page.md
A benchmark that needs a GPU is left out where there is none, and its section of the page stays.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from jepa_vl.results.run_info import machine, source_commit

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "benchmarks.md"
SECTION = re.compile(r"^## (.+)\n(?:(?!## ).*\n?)*", re.M)
TOLD = 15  # lines of what a benchmark said before it failed
HEAD = """\
# Speed and memory

What each script of `benchmarks/` printed, beside the peer that its table names. `make bench` runs all of them
and writes this page, `python benchmarks/run.py --only NAME` a part of it. What follows from the numbers is
said where the thing is described: [large batches](../large-batches.md), [data at scale](../data-at-scale.md),
[scaling out](../scaling-out.md), [streams](../streaming.md).

"""


@dataclass(frozen=True)
class Benchmark:
    """A section of the page.

    Attributes:
        name: What it is called on the command line; the script's name if it is the only one of it.
        heading: What stands over the section.
        runs: Arguments of each run of the script.
        small: The same at sizes that take seconds, and numbers that say nothing.
        script: File of this folder, without its suffix; the name by default.
        cuda: Whether it needs a GPU.
    """

    name: str
    heading: str
    runs: tuple[str, ...] = ("",)
    small: tuple[str, ...] = ("",)
    script: str = ""
    cuda: bool = False

    @property
    def file(self) -> str:
        """Path of the script from the root of the repository."""
        return f"benchmarks/{self.script or self.name}.py"


LOSS = (
    "--batches 4096 --widths 512 1536 --rounds 3",
    "--batches 16384 --widths 512 --rounds 1",
    "--batches 16384 --widths 1536 --rounds 1",
    "--batches 32768 --widths 512 --rounds 1",
    "--batches 32768 --widths 1536 --rounds 1",
    "--loss sigmoid --batches 4096 --widths 512 --rounds 3",
)
SMALL_LOSS = tuple(f"--loss {loss} --batches 512 --widths 16 --rounds 1" for loss in ("info_nce", "sigmoid"))
TWIN = (
    "--device cpu --vocabularies 30522 --rounds 3",
    "--device cpu --vocabularies 128256 --tokens 512 --rounds 1",
)
SMALL_TWIN = "--vocabularies 5000 --tokens 64 --width 16 --rounds 2"
CLIPS = {"train_clips": 24, "val_clips": 6, "test_clips": 8, "novel_clips": 4, "batch_size": 8}
TRAINING = "--steps 2 --rounds 1 " + " ".join(f"--set data.{key}={value}" for key, value in CLIPS.items())
PATH = "--clips 8 --side 64 --size 64 --frames 4 --rounds 1 --batch-size 4 --shard-mib 0.05"
#: In the order of the page.
BENCHMARKS = (
    Benchmark("loss", "Contrastive losses", LOSS, SMALL_LOSS),
    Benchmark(
        "loss_gpu",
        "Contrastive losses on a GPU",
        ("--device cuda --tf32 --batches 4096 16384 32768 --widths 512 1536 --rounds 7",),
        SMALL_LOSS,
        "loss",
        cuda=True,
    ),
    Benchmark("gather_flags", "Gradients over processes", ("--ranks 2 4",), ("--ranks 2 --batch 8",)),
    Benchmark("twin_loss", "The twin's loss", TWIN, (f"--device cpu {SMALL_TWIN}",)),
    Benchmark(
        "twin_loss_gpu",
        "The twin's loss on a GPU",
        ("--bf16 --vocabularies 128256 --tokens 2048 8192 16384 --width 2048 --rounds 7",),
        (SMALL_TWIN,),
        "twin_loss",
        cuda=True,
    ),
    Benchmark("candidates", "The twin's candidates", small=("--clips 2 --dim 16 --layers 1 --rounds 1",)),
    Benchmark("full_step", "The full-size step", ("--batches 16 32",), cuda=True),
    Benchmark(
        "launches", "Launches of the full-size step", small=("--batch 2 --recipes recipes/paper.yaml",)
    ),
    Benchmark("training_overhead", "Training overhead", ("--steps 6 --rounds 5",), (TRAINING,)),
    Benchmark("features", "Cached features", ("--steps 4 --rounds 3",), (TRAINING,)),
    Benchmark("data_path", "Data path", ("--clips 200",), (PATH,)),
    Benchmark("scaling", "Growth of cost", small=("--batches 4 --frames 4 --ranks 1",)),
    Benchmark("streaming", "Streams"),
    Benchmark("cider_speed", "CIDEr", small=("--captions 50 --references 2 --rounds 1",)),
    Benchmark("search_speed", "Search", ("--count 200000",), ("--count 2000 --width 16 --queries 4",)),
)


def explanation(file: Path) -> str:
    """Return a script's docstring without the lines that say how it is run."""
    document = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.sub(r"^(?:Run|Needs) {2,}.*\n(?: +.*\n)*", "", document, flags=re.M).strip()


def section(benchmark: Benchmark, *, small: bool, root: Path = ROOT) -> tuple[str, bool]:
    """Run a benchmark.

    Returns:
        Its section of the page, and whether all of its runs ended well.
    """
    parts = [f"## {benchmark.heading}", explanation(root / benchmark.file)]
    found = machine()
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    about = [
        f"commit {source_commit() or 'unknown'}",
        f"{datetime.now(UTC).date()}",
        ", ".join([*(found["gpus"] if benchmark.cuda else []), found["cpu"]]),
        f"{threads} thread" + "s" * (threads != "1"),
        f"torch {torch.__version__}",
    ]
    parts.append(", ".join(about) + ".")
    well = True
    for arguments in benchmark.small if small else benchmark.runs:
        command = f"python {benchmark.file} {arguments}".strip()
        sys.stderr.write(f"  {command}\n")
        done = subprocess.run(
            [sys.executable, benchmark.file, *shlex.split(arguments)],
            cwd=root,
            env={**os.environ, "OMP_NUM_THREADS": threads, "NO_COLOR": "1", "TERM": "dumb"},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        if done.returncode:
            well = False
            sys.stderr.write(done.stderr)
            parts.append(f"**This run failed with status {done.returncode}.**")
            printed += done.stderr.splitlines()[-TOLD:]
        parts.append("\n".join(["```text", f"$ {command}", *printed, "```"]))
    return "\n\n".join(parts) + "\n", well


def sections_of(page: str) -> dict[str, str]:
    """Return the sections of a page by their headings, in order."""
    return {found[1]: found[0] for found in SECTION.finditer(page)}


def arranged(sections: dict[str, str], benchmarks: Sequence[Benchmark]) -> str:
    """Return the page: the benchmarks' sections in their order, and then those of nobody here."""
    headings = [b.heading for b in benchmarks if b.heading in sections]
    headings += [heading for heading in sections if heading not in headings]
    return HEAD + "\n".join(sections[heading].rstrip("\n") + "\n" for heading in headings)


def write(
    page: Path,
    chosen: Sequence[Benchmark],
    *,
    small: bool = False,
    benchmarks: Sequence[Benchmark] = BENCHMARKS,
    root: Path = ROOT,
) -> int:
    """Run what was chosen, and put each into the page as soon as it is there.

    Returns:
        How many benchmarks failed.
    """
    failed = 0
    for place, benchmark in enumerate(chosen, 1):
        sys.stderr.write(f"[{place}/{len(chosen)}] {benchmark.name}\n")
        if benchmark.cuda and not torch.cuda.is_available():
            sys.stderr.write("  needs a GPU: not run, its section stays\n")
            continue
        begun = time.monotonic()
        text, well = section(benchmark, small=small, root=root)
        failed += not well
        # what another process may have written in the meantime is read
        sections = sections_of(page.read_text(encoding="utf-8")) if page.exists() else {}
        page.write_text(arranged(sections | {benchmark.heading: text}, benchmarks), encoding="utf-8")
        ended = "done" if well else "FAILED"
        sys.stderr.write(f"  {ended} after {time.monotonic() - begun:.0f} s\n")
    return failed


def main() -> int:
    """Run, and write the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--small", action="store_true", help="at sizes that take seconds and say nothing")
    parser.add_argument("--output", type=Path, default=PAGE, metavar="FILE")
    options = parser.parse_args()
    chosen = [b for b in BENCHMARKS if options.only is None or b.name in options.only]
    return 1 if write(options.output, chosen, small=options.small) else 0


if __name__ == "__main__":
    sys.exit(main())
