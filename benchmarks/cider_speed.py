"""CIDEr beside pycocoevalcap's, on the same captions, measured in turn in one process.

Run    python benchmarks/cider_speed.py --captions 10000 --references 5 --rounds 5
Prints the medians and their ratio. The first row of ours takes tokens, as the peer does; the second takes
texts and tokenises them too.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from itertools import accumulate

from pycocoevalcap.cider.cider import Cider
from rich.console import Console
from rich.table import Table

from jepa_vl.metrics.cider import CIDEr

Captions = tuple[list[str], list[list[str]]]


def made_up(captions: int, references: int, seed: int = 0) -> Captions:
    """Captions of 6 to 16 words out of 5,000, the frequent ones as frequent as in language (Zipf)."""
    rng = random.Random(seed)
    words = [f"word{i}" for i in range(5000)]
    weights = list(accumulate(1 / (i + 1) for i in range(5000)))

    def caption() -> str:
        return " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(6, 16)))

    said = [caption() for _ in range(captions)]
    return said, [[caption() for _ in range(references)] for _ in range(captions)]


def ours_of_tokens(captions: Captions) -> float:
    """The metric, given lists of tokens."""
    metric = CIDEr()
    references = [[r.split() for r in each] for each in captions[1]]
    metric.update(range(len(captions[0])), [c.split() for c in captions[0]], references)
    return float(metric.compute())


def ours_of_texts(captions: Captions) -> float:
    """The metric, given texts."""
    metric = CIDEr()
    metric.update(range(len(captions[0])), *captions)
    return float(metric.compute())


def theirs(captions: Captions) -> float:
    """pycocoevalcap, given tokens joined by blanks."""
    said = {i: [text] for i, text in enumerate(captions[0])}
    return float(Cider().compute_score(dict(enumerate(captions[1])), said)[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--captions", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    captions = made_up(args.captions, args.references)
    systems: dict[str, Callable[[Captions], float]] = {
        "pycocoevalcap": theirs,
        "CIDEr, tokens": ours_of_tokens,
        "CIDEr, texts": ours_of_texts,
    }
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    values = {}
    for _ in range(args.rounds):
        for name, score in systems.items():
            start = time.perf_counter()
            values[name] = score(captions)
            seconds[name].append(time.perf_counter() - start)

    peer = statistics.median(seconds["pycocoevalcap"])
    title = f"{args.captions:,} captions × {args.references} references, {args.rounds} rounds"
    table = Table("", "seconds (median)", "ratio to the peer", "CIDEr", title=title)
    for name, times in seconds.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.2f}", f"{median / peer:.3f}", f"{values[name]:.9f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
