"""One rank of a gloo job: ``python caption_worker.py RANK SIZE FOLDER`` saves what its metrics are."""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from jepa_vl.metrics.bleu import BLEU
from jepa_vl.metrics.cider import CIDEr
from jepa_vl.metrics.rouge import ROUGEL


def main(rank: int, size: int, folder: Path) -> None:
    """Score 21 captions dealt out in turn, padded with the first as a distributed sampler does."""
    if size > 1:
        store = dist.FileStore(str(folder / "store"), size)
        dist.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60)
        )
    rng = random.Random(0)
    captions = [[" ".join(rng.choices("aébcd", k=rng.randint(1, 9))) for _ in range(4)] for _ in range(21)]
    captions[4][0] = ""
    mine = [*range(21), 0][rank::size]
    found = {}
    for kind in (CIDEr, BLEU, ROUGEL):
        shared, apart = kind(), kind()
        for i in mine:
            shared.update([i], [captions[i][0]], [captions[i][1:]])
        if rank == 0:  # the other rank has nothing to add
            apart.update(range(21), [c[0] for c in captions], [c[1:] for c in captions])
        for name, metric in (("shared", shared), ("apart", apart)):
            found[f"{kind.__name__} {name}"] = metric.compute()
            found[f"{kind.__name__} {name} each"] = metric.per_sample()[1]
    torch.save(found, folder / f"{rank}.{size}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
