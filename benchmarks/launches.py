"""What a full-size training step asks of a GPU, counted on shapes: no GPU is needed, and nothing is timed.

Run    python benchmarks/launches.py --batch 16
Each row is a part of VL-JEPA's step, or of its token twin's, in bf16 under autocast: the operations that a
GPU is told to do (launches), the bytes that they read and write, and their products of matrices. In less
than `at least` no card of that name does them one after the other: of each operation, the longer of its
products at the data sheet's rate and its bytes at the data sheet's bandwidth. A launch takes some
microseconds of the processor besides, which larger batches hide. The peer is the same step with
transformers' own norms and its own positions in V-JEPA 2.
"""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from full_step import LENGTHS, RECIPES, values_of
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, shape_wrapper

from jepa_vl.checkpoint import build_objective
from jepa_vl.compare.costs.flops import FORMULAS
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.cards import card
from jepa_vl.planning.model import remember_texts, shape_batch
from jepa_vl.planning.shapes import shapes_only, strip_values
from jepa_vl.pretrained.weights import random_weights

BANDWIDTH = {"h200": 4.8e12, "h100": 3.35e12, "a100": 2.039e12}  # bytes a second, by the same data sheets
SINGLE = 16  # products in float32 take as many times as long, at least
NOTHING = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach", "_unsafe_view"}
PRODUCTS = {**flop_registry, **{op: shape_wrapper(formula) for op, formula in FORMULAS.items()}}
KINDS = ("launches", "bytes", "products", "seconds")


class Asked(TorchDispatchMode):
    """Counts by part what a GPU would be told to do.

    Args:
        rate: Products in bfloat16, in operations a second.
        bandwidth: Bytes a second.
    """

    def __init__(self, rate: float, bandwidth: float) -> None:
        super().__init__()
        self.rate, self.bandwidth = rate, bandwidth
        self.parts = ["rest"]
        self.found: dict[str, Counter[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count it, and say its shapes."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not made or func.is_view or func._schema.name.partition("::")[2] in NOTHING:
            return out
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        moved = sum(t.numel() * t.element_size() for t in (*read, *made))
        count = PRODUCTS.get(func._overloadpacket)
        products = 0 if count is None else count(*args, **kwargs, out_val=out)
        rate = self.rate if made[0].element_size() == 2 else self.rate / SINGLE
        seconds = max(products / rate, moved / self.bandwidth)
        here = self.found.setdefault(self.parts[-1], Counter())
        here.update(launches=1, bytes=moved, products=products)
        here["seconds"] += seconds  # type: ignore[assignment]
        return out

    def follow(self, modules: dict[str, nn.Module]) -> None:
        """Have what a module does count as its part's."""
        for name, module in modules.items():
            module.register_forward_pre_hook(lambda *_, name=name: self.parts.append(name))
            module.register_forward_hook(lambda *_: self.parts.__delitem__(-1))


def ask(values: dict[str, Any], size: int, asked: Asked) -> dict[str, Counter[str]]:
    """Do one step on shapes."""
    with torch.device("meta"), random_weights():
        objective = build_objective(values)
    assert isinstance(objective, TrainedObjective)
    strip_values(objective)
    objective.train()
    asked.follow(dict(objective.named_children()))
    with (
        shapes_only(),
        mock.patch.object(objective, "log_train"),
        mock.patch.object(type(objective), "logs_now", False),
    ):
        batch = shape_batch(objective, size, LENGTHS, cached=False)
        remember_texts(objective, batch)
        with asked:
            with torch.autocast("cpu", torch.bfloat16):
                loss = objective.training_step(batch, 0)
            asked.parts.append("backward")
            assert isinstance(loss, Tensor)
            loss.backward()
    return asked.found


def peer(values: dict[str, Any], size: int, asked: Asked) -> Counter[str]:
    """Do the same with what transformers does itself."""
    with (
        mock.patch("jepa_vl.pretrained.models.fuse_norms"),
        mock.patch("jepa_vl.vision.hf_vision.share_rotary", return_value=nn.Identity()),
    ):
        return sum(ask(values, size, asked).values(), Counter())


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    both = [RECIPES / "paper.yaml", RECIPES / "paper-token.yaml"]
    parser.add_argument("--recipes", type=Path, nargs="+", default=both)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--card", choices=list(BANDWIDTH), default="h100")
    options = parser.parse_args()
    rates = card(options.card).teraflops * 1e12, BANDWIDTH[options.card]
    table = Table(
        "recipe", "part", "launches", "GB moved", "TFLOP of products", "at least ms", "ratio of launches"
    )
    for recipe in options.recipes:
        values = values_of(recipe, {})
        found = ask(values, options.batch, Asked(*rates))
        all_ = sum(found.values(), Counter[str]())
        theirs = peer(values, options.batch, Asked(*rates))
        for part, asked in (*found.items(), ("all", all_), ("transformers' own", theirs)):
            ratio = f"{all_['launches'] / asked['launches']:.2f}" if asked is theirs else ""
            table.add_row(recipe.stem, part, *cells(asked), ratio, end_section=asked is theirs)
    Console(width=130).print(table)
    print(
        f"batch {options.batch}, {options.card}'s data sheet, {platform.machine()}, torch {torch.__version__}"
    )


def cells(asked: Counter[str]) -> tuple[str, ...]:
    """Write out one row."""
    launches, moved, products, seconds = (asked[kind] for kind in KINDS)
    return f"{launches:,}", f"{moved / 1e9:.1f}", f"{products / 1e12:.1f}", f"{seconds * 1e3:.1f}"


if __name__ == "__main__":
    main()
