"""Speed, memory and recall of searching a large index, with random vectors: the worst case for any index.

Run    python benchmarks/search_speed.py --count 1000000 --width 256
The float32 index, the float16 one that large galleries get, and one with inverted lists (`--lists`): seconds
to build, MiB, median milliseconds a query (100 windows, one thread), their ratio to those of faiss's exact
float32 index, and the share of the ten nearest that are found.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from jepa_vl.use import vectors

BLOCK = 50_000
ASKED = 100  # windows a query, of which overlapping ones are dropped


def blocks(count: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Unit vectors, the same ones each time."""
    random = np.random.default_rng(0)
    for start in range(0, count, BLOCK):
        rows = random.standard_normal((min(BLOCK, count - start), width), dtype=np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lists(count: int, width: int, probes: int) -> Any:
    """An index with inverted lists: what is not used here, and why."""
    faiss = vectors.load_faiss()
    index = faiss.index_factory(width, "IVF1024,Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.max_points_per_centroid = 5, 64
    index.train(next(blocks(count, width)))
    for block in blocks(count, width):
        index.add(block)
    index.nprobe = probes
    return index


def main() -> None:
    """Measure each index and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument(
        "--lists", action="store_true", help="also an index with inverted lists (slow to build)"
    )
    options = parser.parse_args()
    count, width = options.count, options.width
    faiss = vectors.load_faiss()
    faiss.omp_set_num_threads(1)
    random = np.random.default_rng(1)
    queries = random.standard_normal((options.queries, width), dtype=np.float32)
    kinds: dict[str, Any] = {
        "float32": lambda: vectors.build(blocks(count, width), count=0, width=width),
        "float16": lambda: vectors.build(blocks(count, width), count=vectors.LARGE + 1, width=width),
    }
    if options.lists:
        kinds["1024 lists, 256 read"] = lambda: lists(count, width, 256)
    table = Table("index", "build s", "MiB", "ms a query", "ratio to float32", "recall@10")
    truth: list[set[int]] = []
    exact = 0.0
    for name, make in kinds.items():
        begun = time.perf_counter()
        index = make()
        built = time.perf_counter() - begun
        size = faiss.serialize_index(index).nbytes / 2**20
        times, found = [], []
        for query in queries:
            begun = time.perf_counter()
            _, rows = index.search(query[None], ASKED)
            times.append(time.perf_counter() - begun)
            found.append(set(rows[0, :10].tolist()))
        truth = truth or found
        recall = np.mean([len(a & b) / 10 for a, b in zip(truth, found, strict=True)])
        taken = 1000 * float(np.median(times))
        exact = exact or taken
        table.add_row(
            name, f"{built:.1f}", f"{size:.0f}", f"{taken:.3g}", f"{taken / exact:.2f}", f"{recall:.3f}"
        )
        del index
    Console(width=100).print(f"{count:,} × {width}, {options.queries} queries", table, sep="\n")


if __name__ == "__main__":
    main()
