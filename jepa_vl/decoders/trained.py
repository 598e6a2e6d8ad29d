"""The decoder in the checkpoint of a decoder run, without the text encoder that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser
from torch import Tensor

from jepa_vl import registry
from jepa_vl.checkpoint import checkpoint_file, read_checkpoint
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import RecipeError, UserError

PREFIX = "decoder."


@dataclass(frozen=True)
class DecoderRun:
    """What a run of the objective `decoder` has trained.

    Attributes:
        file: Its checkpoint.
        part: The decoder in its resolved recipe.
        plugins: Local plugins that the recipe names.
        state: The decoder's weights.
    """

    file: Path
    part: dict[str, Any]
    plugins: list[str]
    state: dict[str, Tensor]


def read_decoder_run(path: str | Path) -> DecoderRun:
    """Read a decoder run, and build nothing.

    Args:
        path: Folder of a run of the objective `decoder` (``runs/NAME``), or a checkpoint of it.

    Raises:
        RecipeError: There is no such run, or it did not train a decoder.
    """
    try:
        file = checkpoint_file(path)
        content = read_checkpoint(file)
    except UserError as error:
        raise RecipeError(
            f"{error}. It is a run of the objective decoder; make one with "
            "`jepa-vl fit --config recipes/decoder.yaml`"
        ) from error
    state = {k.removeprefix(PREFIX): v for k, v in content["state_dict"].items() if k.startswith(PREFIX)}
    if not state:
        raise RecipeError(
            f"{file} is of a run of {content['jepa_vl']['objective']}, which trained no decoder; "
            "expected a run of the objective decoder"
        )
    recipe = yaml.safe_load(content["jepa_vl"]["recipe"])
    part = recipe["objective"]["init_args"]["decoder"]
    return DecoderRun(file, part, list(recipe.get("plugins") or []), state)


def build_decoder(run: DecoderRun) -> TextDecoder:
    """Build the decoder of a run by its own recipe, untrained; its weights are the run's ``state``."""
    registry.load_local(run.plugins)
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_argument("--decoder", type=TextDecoder)
    built: TextDecoder = parser.instantiate_classes(parser.parse_object({"decoder": run.part})).decoder
    return built
