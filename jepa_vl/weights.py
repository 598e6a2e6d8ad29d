"""Where a Hugging Face model comes from: a registered name, a local folder, or a hub name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: What is registered in group ``weights``: called without arguments, it returns the folder of a
#: Hugging Face model (config, safetensors, tokenizer), fetching and converting it once if need be.
WeightsSource = Callable[[], Path]
