"""The decoder in the checkpoint of a decoder run, without the text encoder that it was trained with."""

from __future__ import annotations

from pathlib import Path

import yaml
from lightning.pytorch.cli import LightningArgumentParser
from torch import Tensor

from jepa_vl import registry
from jepa_vl.checkpoint import read_checkpoint
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.runs import best_or_last, find_checkpoint

PREFIX = "decoder."


def read_decoder(weights: str) -> tuple[TextDecoder, dict[str, Tensor]]:
    """Build the decoder of a run by its own recipe, and read its weights.

    Args:
        weights: Folder of a run of the objective `decoder` (``runs/NAME``), or a checkpoint of it.

    Returns:
        The decoder, untrained, and the state to load into it.

    Raises:
        RecipeError: There is no such run, or it did not train a decoder.
    """
    path = Path(weights)
    wanted = best_or_last(path) if path.is_dir() else weights
    try:
        file = find_checkpoint(wanted, path)
        content = read_checkpoint(file)
    except UserError as error:
        raise RecipeError(
            f"decoder.weights: {error}. It is a run of the objective decoder; make one with "
            "`jepa-vl fit --config recipes/decoder.yaml`"
        ) from error
    state = {k.removeprefix(PREFIX): v for k, v in content["state_dict"].items() if k.startswith(PREFIX)}
    if not state:
        raise RecipeError(
            f"decoder.weights: {file} is of a run of {content['jepa_vl']['objective']}, which trained no "
            "decoder; expected a run of the objective decoder"
        )
    recipe = yaml.safe_load(content["jepa_vl"]["recipe"])
    registry.load_local(recipe.get("plugins") or [])
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_argument("--decoder", type=TextDecoder)
    part = recipe["objective"]["init_args"]["decoder"]
    return parser.instantiate_classes(parser.parse_object({"decoder": part})).decoder, state
