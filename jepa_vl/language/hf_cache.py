"""The cache of a transformers model: ``cache``, or ``past_key_values`` in older versions."""

from __future__ import annotations

import inspect
from typing import Any

NEW, OLD = "cache", "past_key_values"


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """Return the cache under the name by which the model takes it."""
    return {NEW if NEW in inspect.signature(model.forward).parameters else OLD: cache}


def cache_of(output: Any) -> Any:
    """Return the cache that a model's output has."""
    return getattr(output, NEW) if hasattr(output, NEW) else getattr(output, OLD)
