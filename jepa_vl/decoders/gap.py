"""How far predicted embeddings lie from the true ones, and the noise on true ones that is as far off.

python -m jepa_vl.decoders.gap runs/quickstart
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from jepa_vl.checkpoint import read_checkpoint
from jepa_vl.cli.build import build, make_parser, parse
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.runs import RECIPE, best_or_last, find_checkpoint
from jepa_vl.sample import Batch


@dataclass(frozen=True)
class Gap:
    """Predicted against true embeddings, both of unit norm.

    Attributes:
        n: Number of pairs.
        cosine: Their mean cosine.
        deviation: Root of the mean squared difference in one of the E numbers.
        offset: Norm of the mean difference: the part that is the same for all, and that noise is not.
        noise: Deviation of Gaussian noise that takes unit vectors to this mean cosine, for the key
            ``noise`` of the objective `decoder`.
    """

    n: int
    cosine: float
    deviation: float
    offset: float
    noise: float


def gap_between(predicted: Tensor, true: Tensor) -> Gap:
    """Measure unit vectors ``[n, E]`` against unit vectors ``[n, E]``.

    Noise of deviation σ in E dimensions is nearly orthogonal to the vector and of length σ√E, so that
    the cosine becomes 1 / √(1 + σ²E).
    """
    difference = (predicted - true).double()
    cosine = float((predicted.double() * true.double()).sum(dim=1).mean())
    noise = ((1 / cosine**2 - 1) / true.shape[1]) ** 0.5 if cosine > 0 else float("inf")
    return Gap(
        n=len(true),
        cosine=cosine,
        deviation=float(difference.square().mean().sqrt()),
        offset=float(difference.mean(dim=0).norm()),
        noise=noise,
    )


@torch.no_grad()
def measure_gap(objective: Objective, batches: Iterable[Batch]) -> dict[str, Gap]:
    """Measure the gap of an objective: of ``all`` samples, and of ``captions`` (without a query)."""
    predicted, true, captions = [], [], []
    for batch in batches:
        predicted.append(objective.embed_video(batch).cpu())
        true.append(objective.embed_text([sample.target for sample in batch.samples]).cpu())
        captions += [not sample.query for sample in batch.samples]
    ours, theirs, without = torch.cat(predicted), torch.cat(true), torch.tensor(captions)
    found = {"all": gap_between(ours, theirs)}
    if without.any():
        found["captions"] = gap_between(ours[without], theirs[without])
    return found


def gap_of_run(run: str) -> dict[str, Gap]:
    """Measure the gap of a run's best checkpoint on its validation split.

    Raises:
        UserError: There is no such run.
    """
    folder = Path(run)
    content = read_checkpoint(find_checkpoint(best_or_last(folder), folder))
    parser = make_parser()
    parts = build(parser, parse(parser, resolve(load_recipe([folder / RECIPE], []))))
    parts.objective.load_state_dict(content["state_dict"])
    parts.data.prepare_data()
    parts.data.setup("validate")
    loaders = parts.data.val_dataloader()
    return measure_gap(parts.objective.eval(), (batch for loader in loaders for batch in loader))


def main(arguments: list[str]) -> int:
    """Print the gap of a run."""
    parser = argparse.ArgumentParser(prog="python -m jepa_vl.decoders.gap", description=__doc__)
    parser.add_argument("run", help="folder of a run of the objective jepa")
    try:
        found = gap_of_run(parser.parse_args(arguments).run)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    for name, gap in found.items():
        numbers = " · ".join(f"{k} {v:.4f}" if k != "n" else f"n {v}" for k, v in asdict(gap).items())
        sys.stdout.write(f"{name}: {numbers}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
