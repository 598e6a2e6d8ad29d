"""The cache of a transformers model: ``cache``, or ``past_key_values`` in older versions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

NEW, OLD = "cache", "past_key_values"


def cache_argument(model: Any, keys_values: Any) -> dict[str, Any]:
    """Return a cache under the name by which the model takes it."""
    return {_name(type(model).forward): keys_values}


def cache_of(output: Any) -> Any:
    """Return the cache that a model's output has."""
    return getattr(output, NEW) if hasattr(output, NEW) else getattr(output, OLD)


@cache  # it is asked for at every pass
def _name(forward: Callable[..., Any]) -> str:
    return NEW if NEW in inspect.signature(forward).parameters else OLD
