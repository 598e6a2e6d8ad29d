"""The state of an objective: its tensors by name, which are frozen, and what else its modules keep."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from jepa_vl.objectives.base import Objective

EXTRA = "_extra_state"  # how torch ends the name of a module's own state, which may be no tensor
DECODER = "decoder."  # how the names of a decoder's state begin


def state_of(objective: Objective) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an objective's state: tensors by name, and what its modules keep besides, as plain values.

    A decoder's state is in it, which the objective's own ``state_dict`` may leave out.
    A tensor within a module's own state is among the tensors, under ``module._extra_state.key``.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    decoder = decoder_of(objective)
    own = {} if decoder is None else decoder.state_dict(prefix=DECODER)
    for name, value in {**objective.state_dict(), **own}.items():
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu()
        elif isinstance(value, Mapping):
            values[name] = {key: v for key, v in value.items() if not isinstance(v, Tensor)}
            tensors |= {
                f"{name}.{key}": v.detach().cpu() for key, v in value.items() if isinstance(v, Tensor)
            }
        else:
            values[name] = value
    return tensors, values


def load_state(objective: Objective, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Give an objective the state that `state_of` took apart.

    Raises:
        RuntimeError: It is of another architecture.
    """
    state: dict[str, Any] = {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}
    for name, tensor in tensors.items():
        owner, marker, key = name.partition(f"{EXTRA}.")
        if marker:
            state[owner + EXTRA][key] = tensor
        else:
            state[name] = tensor
    objective.load_state_dict(state)
    decoder = decoder_of(objective)
    if decoder is not None:  # whose state the objective may leave as it is
        decoder.load_state_dict(
            {k.removeprefix(DECODER): v for k, v in state.items() if k.startswith(DECODER)}
        )


def decoder_of(objective: Objective) -> nn.Module | None:
    """Return the objective's decoder, if it has one."""
    decoder = getattr(objective, "decoder", None)
    return decoder if isinstance(decoder, nn.Module) else None


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Return how many numbers they hold."""
    return sum(tensor.numel() for tensor in tensors.values())


def is_frozen(objective: Objective, name: str) -> bool:
    """Whether a tensor of the state is no part of what is trained: a frozen parameter, or a buffer."""
    try:
        return not objective.get_parameter(name).requires_grad
    except AttributeError:
        return EXTRA not in name


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return one hash for each part of the objective, of those of its weights that are given."""
    found: dict[str, Any] = {}
    for name in sorted(tensors):
        digest = found.setdefault(name.partition(".")[0], hashlib.sha256())
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return {part: digest.hexdigest() for part, digest in found.items()}
