"""``TRITON_INTERPRET=1 python interpreted_worker.py IN OUT``: run the GPU's kernels on a processor.

Triton looks for the variable when it is imported, which a process that has torch has done.
"""

from __future__ import annotations

import sys

import torch

from jepa_vl.losses import log_sigmoid, log_sum_exp
from jepa_vl.losses.fused_tiles import FusedTiles
from tests.losses.reduced import run


def main() -> None:
    cases, out = sys.argv[1:]
    log_sum_exp.operations_for = log_sigmoid.operations_for = FusedTiles  # type: ignore[assignment]
    torch.save([run(case) for case in torch.load(cases)], out)


if __name__ == "__main__":
    main()
