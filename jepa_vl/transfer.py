"""From the CPU to the device, without a wait for what the device still has to do."""

from __future__ import annotations

import torch
from torch import Tensor


def is_gpu(device: torch.device) -> bool:
    """Whether a copy to the device can be ordered and left alone."""
    return device.type == "cuda"


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device: to a GPU as a part of its queue, behind all that it was told."""
    return tensor.pin_memory().to(device, non_blocking=True) if is_gpu(device) else tensor.to(device)
