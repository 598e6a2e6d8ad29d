"""``TRITON_INTERPRET=1 python liger_worker.py IN OUT``: run Liger's kernels on a processor.

Triton looks for the variable when it is imported, which a process that has torch has done.
"""

from __future__ import annotations

import sys

import torch

from jepa_vl.language.liger_cross_entropy import by_kernels


def main() -> None:
    cases, out = sys.argv[1:]
    torch.save([tuple(by_kernels(**case)) for case in torch.load(cases)], out)


if __name__ == "__main__":
    main()
