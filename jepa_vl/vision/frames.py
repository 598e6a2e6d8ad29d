"""uint8 frames → what a network wants: normalised pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.vision.base import Preprocessing


def normalised(frames: Tensor, preprocessing: Preprocessing, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scale uint8 ``[..., C, H, W]`` to [0, 1], subtract the mean and divide by the deviation.

    Raises:
        ValueError: The frames are not RGB, or not of the encoder's size.
    """
    expected = (3, *preprocessing.size)
    if frames.shape[-3:] != expected:
        raise ValueError(f"frames of shape {tuple(frames.shape[-3:])}, but the encoder reads {expected}")
    mean, std = (
        torch.stack([torch.full((), number, device=frames.device) for number in of_channels]).view(3, 1, 1)
        for of_channels in (preprocessing.mean, preprocessing.std)
    )
    # one multiplication and one addition: x / 255 / std - mean / std
    return torch.addcmul(-mean / std, frames.float(), 1 / (255 * std)).to(dtype)
