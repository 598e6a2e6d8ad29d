"""Where a Hugging Face model comes from: a registered name, a local folder, or a hub name."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError

from jepa_vl import registry
from jepa_vl.errors import RecipeError, UserError, did_you_mean

#: What is registered in group ``weights``: called without arguments, it returns the folder of a
#: Hugging Face model (config, safetensors, tokenizer), fetching and converting it once if need be.
WeightsSource = Callable[[], Path]

T = TypeVar("T")


_RANDOM = ContextVar("random_weights", default=False)


def shapes_alone() -> bool:
    """Whether parts are built for their shapes, and no weight is read: on the meta device, or at random."""
    return torch.get_default_device().type == "meta" or _RANDOM.get()


@contextmanager
def random_weights() -> Iterator[None]:
    """Build the parts of a recipe with random weights of the right shapes, to measure speed and memory."""
    token = _RANDOM.set(True)
    try:
        yield
    finally:
        _RANDOM.reset(token)


def resolve_model(name: str) -> str:
    """Return what ``from_pretrained`` takes for a ``model:`` argument.

    Args:
        name: A registered weights name (fetched and converted now, if this machine has not done so), a
            local folder, or a hub name ``owner/model``.

    Raises:
        RecipeError: It is none of them.
    """
    known = registry.names("weights")
    if name in known:
        with torch.device("cpu"):  # what is converted is kept, also where shapes alone are wanted now
            return str(registry.get("weights", name)())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder)
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        return name
    raise RecipeError(
        f"no model '{name}': expected a weights name, an existing folder, or a hub name 'owner/model'; "
        f"among the weights, {did_you_mean(name, known)}"
    )


def load_hf(loader: Callable[..., T], model: str, **kwargs: Any) -> T:
    """Load a part of a Hugging Face model, with one clear error when that cannot be done.

    Args:
        loader: A ``from_pretrained`` (of a model, a tokenizer, a config).
        model: A ``model:`` argument, as for `resolve_model`.
        **kwargs: Passed on to the loader.

    Raises:
        RecipeError: ``model`` names nothing.
        UserError: It cannot be fetched (no network, gated, unknown to the hub) or read.

    Example:
        >>> tokenizer = load_hf(AutoTokenizer.from_pretrained, "all-minilm-l6-v2")
    """
    path = resolve_model(model)
    try:
        return loader(path, **kwargs)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise  # a full disk has its own message
        reason = str(error).strip().split("\n")[0]
        where = "the folder" if Path(path).is_dir() else "the hub model"
        advice = ""
        if where == "the hub model":
            enough = " (its config.json and tokenizer will do)" if shapes_alone() else ""
            advice = f"; without network, give a folder{enough} or one of the weights: "
            advice += ", ".join(registry.names("weights")) or "(none is installed)"
        raise UserError(f"cannot load {where} '{path}': {reason}{advice}") from error
