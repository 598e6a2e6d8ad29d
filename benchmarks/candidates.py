"""Scoring candidates by the token twin: read as one tree of tokens, beside one text after the other.

Run    python benchmarks/candidates.py --clips 64 --rounds 3
The twin's score of a candidate is the mean log-likelihood of its tokens after the frames, so that it reads
every candidate for every clip. What candidates share at their beginning it reads once; the peer is the same
model that reads each of them whole (`reads_trees` off). Names of event classes as BabyAI has them, and
sentences that begin with one of a few ways to say who does it; random weights. Seconds are of processor time.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from jepa_vl.language.likelihood import log_likelihoods
from jepa_vl.language.prefix import Prefix, read_prefix
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.sample import TextTokens

VERBS = ("go to", "pick up", "open", "close", "drop")
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
THINGS = ("ball", "box", "key")
TOLD = ("the agent", "it", "someone", "in the room the agent")
PREFIX = 21  # visual tokens and a query


def candidates() -> dict[str, list[str]]:
    """Return sets of texts by name."""
    names = [
        f"{verb} the {colour} {thing}" for verb, colour, thing in itertools.product(VERBS, COLOURS, THINGS)
    ]
    told = [f"{TOLD[i % len(TOLD)]} turns and will {name}" for i, name in enumerate(names)]
    return {"class names": names, "sentences": told}


def scored(model: TransformerLM, prefix: Prefix, texts: TextTokens, *, trees: bool) -> tuple[Tensor, float]:
    """Return all scores, and the seconds that they took."""
    model.reads_trees = trees
    pairs = list(itertools.product(range(len(prefix.last)), range(len(texts.ids))))
    began = time.process_time()
    scores = log_likelihoods(model, prefix, texts, pairs)
    return scores, time.process_time() - began


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    sets = candidates()
    model = TransformerLM(dim=args.dim, layers=args.layers, heads=4, ffn_mult=2.0, vocabulary="data").eval()
    model.tell_texts([text for texts in sets.values() for text in texts])
    mask = torch.ones(args.clips, PREFIX, dtype=torch.bool)
    prefix = read_prefix(model, torch.randn(args.clips, PREFIX, args.dim), mask)
    table = Table("candidates", "number", "tree s", "one by one s", "ratio", "scores differ by")
    for name, said in sets.items():
        texts = model.target_tokenizer(said)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        found: dict[bool, Tensor] = {}
        for turn in range(args.rounds):
            for trees in (True, False) if turn % 2 == 0 else (False, True):
                found[trees], spent = scored(model, prefix, texts, trees=trees)
                seconds[trees].append(spent)
        tree, whole = (statistics.median(seconds[trees]) for trees in (True, False))
        apart = float((found[True] - found[False]).abs().max())
        row = (f"{tree:.2f}", f"{whole:.2f}", f"{tree / whole:.2f}", f"{apart:.1e}")
        table.add_row(name, str(len(said)), *row)
    console = Console(width=120)
    console.print(table)
    console.print(
        f"{args.clips} clips, {args.layers} layers of width {args.dim}, {args.rounds} rounds, "
        f"{torch.get_num_threads()} thread(s), torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
