"""The mean curves for TensorBoard: a run an arm, the samples seen as the step."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from jepa_vl.compare.statistics.summary import Summary


def write_curves(summary: Summary, folder: Path) -> None:
    """Write ``ARM/`` event files with ``compare/METRIC``, and its ``/low`` and ``/high``; old ones go."""
    shutil.rmtree(folder, ignore_errors=True)
    for arm in summary.arms:
        points = {point.budget: point for point in summary.points if point.arm == arm.name}
        if not points:
            continue
        with SummaryWriter(str(folder / arm.name)) as writer:
            for estimate in summary.means:
                if estimate.arm != arm.name:
                    continue
                step = round(points[estimate.budget].samples)
                writer.add_scalar(f"compare/{estimate.metric}", estimate.value, step)
                if estimate.low is not None and estimate.high is not None:
                    writer.add_scalar(f"compare/{estimate.metric}/low", estimate.low, step)
                    writer.add_scalar(f"compare/{estimate.metric}/high", estimate.high, step)
