"""From a run's folder or a checkpoint to the objective in it, built by the recipe that it carries."""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from jepa_vl import registry
from jepa_vl.errors import UserError, did_you_mean, user_error_in
from jepa_vl.objectives.base import Objective
from jepa_vl.runs import best_or_last, find_checkpoint

SHARDED = "meta.pt"  # what Lightning's sharded checkpoints have, folders of a file for each process


def load_objective(
    path: str | Path, *, which: str | None = None, recipe: dict[str, Any] | None = None
) -> Objective:
    """Build a trained objective, in eval mode, on the CPU.

    Args:
        path: Folder of a run (``runs/NAME``), or a checkpoint file.
        which: ``best`` or ``last`` of a run; the best by default.
        recipe: The resolved recipe to build by; the checkpoint's own by default.

    Raises:
        UserError: There is no such checkpoint, it holds more than weights and plain values (a pickle could
            run anything), or it was not written by jepa-vl.
    """
    file = checkpoint_file(path, which)
    content = read_checkpoint(file)
    objective = build_objective(recipe or yaml.safe_load(content["jepa_vl"]["recipe"]))
    try:
        objective.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise explain_checkpoint(error, file, type(objective).__name__) or error from error
    return objective.eval()


def initialise(objective: Objective, path: str | Path) -> None:
    """Start an objective from a trained one's weights: fine-tuning from a pretrained run.

    Args:
        objective: Gets the weights.
        path: Folder of a run, of which the best checkpoint is taken, or a checkpoint file.

    Raises:
        UserError: There is no such checkpoint, or it is of another architecture.
    """
    file = checkpoint_file(path)
    try:
        objective.load_state_dict(read_checkpoint(file)["state_dict"])
    except RuntimeError as error:
        raise explain_checkpoint(error, file, type(objective).__name__) or error from error


def checkpoint_file(path: str | Path, which: str | None = None) -> Path:
    """Return the checkpoint that a run's folder or a file means.

    Raises:
        UserError: There is none.
    """
    path = Path(path)
    wanted = (which or best_or_last(path)) if path.is_dir() else str(path)
    return find_checkpoint(wanted, path)


def file_stamp(file: Path) -> str:
    """Return which file this is, and of what time."""
    stat = file.stat()
    return f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint without running anything that it may hold.

    Raises:
        UserError: It holds more than weights and plain values, was not written by jepa-vl, or is sharded.
    """
    if file.is_dir():
        raise UserError(
            f"{file} is a sharded checkpoint, of which training can go on; to use it, make one file of it by "
            f"`python -m lightning.fabric.utilities.consolidate_checkpoint {file} --output_file one.ckpt`"
        )
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise UserError(
            f"{file} is refused: it holds more than weights and plain values, which could run code"
            f"{f' ({found[1]})' if found else ''}; expected a checkpoint that jepa-vl wrote, or safetensors"
        ) from error
    except RuntimeError as error:
        raise _damaged(file, error) from error
    if not isinstance(content, dict) or "jepa_vl" not in content or "state_dict" not in content:
        raise UserError(f"{file} was not written by `jepa-vl fit`: it does not say by which recipe")
    return content


def check_checkpoint(path: Path, *, sharded: bool, trained: bool) -> None:
    """Refuse a checkpoint that a trainer would stumble over while it loads it.

    Args:
        path: A file, or the folder of a sharded one.
        sharded: Whether the trainer's strategy shards weights.
        trained: Whether training is to go on, with the optimizer's states.

    Raises:
        UserError: It is no checkpoint, or not one for this.
    """
    if path.is_dir() and not (path / SHARDED).is_file():
        there = [str(file) for file in sorted((*path.glob("*.ckpt"), *path.glob("checkpoints/*.ckpt")))]
        raise UserError(f"{path} is a folder, and not a checkpoint; {did_you_mean('last', there)}")
    if sharded and path.is_dir():
        return
    if sharded and trained:
        raise UserError(
            f"{path} is of a run that was not sharded, from which a sharded one cannot go on: leave "
            f"trainer.strategy as it was, or start from its weights by --init_from {path}"
        )
    content = read_checkpoint(path)
    if trained and "optimizer_states" not in content:
        raise UserError(
            f"{path} holds weights alone, and training cannot go on from it: start from them by "
            f"--init_from {path}"
        )


def objective_class(recipe: dict[str, Any]) -> type[Objective]:
    """Return the class of a resolved recipe's objective, and build nothing.

    Raises:
        UserError: It is not installed here.
    """
    registry.load_local(recipe.get("plugins") or [])
    module, _, name = recipe["objective"]["class_path"].rpartition(".")
    found: type[Objective] = registry.Entry("objectives", name, f"{module}:{name}", module).load()
    return found


def build_objective(recipe: dict[str, Any]) -> Objective:
    """Build the objective of a resolved recipe, and nothing else of it.

    Raises:
        UserError: A part is not installed here, or refuses its arguments.
    """
    registry.load_local(recipe.get("plugins") or [])
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(Objective, "objective", subclass_mode=True)
    config = parser.parse_object({"objective": recipe["objective"]})
    try:
        return parser.instantiate_classes(config).objective
    except Exception as error:
        # jsonargparse wraps what a constructor raises into errors of its own, with the whole recipe
        raise user_error_in(error) or error from None


def explain_checkpoint(error: RuntimeError, path: Path, objective: str) -> UserError | None:
    """Turn torch's complaint about a file or state dict into one message, or return None if it is another."""
    text = str(error)
    if "PytorchStreamReader" in text:
        return _damaged(path, error)
    if "loading state_dict" not in text:
        return None
    problems = []
    for kind, wording in (("Missing", "it lacks"), ("Unexpected", "it has besides")):
        if found := re.search(rf'{kind} key\(s\) in state_dict: ((?:"[^"]+",? ?)+)', text):
            names = re.findall(r'"([^"]+)"', found.group(1))
            problems.append(f"{wording} {_first(names)}")
    sizes = re.findall(
        r"size mismatch for ([^:]+): .*?torch\.Size\((\[[^]]*\])\).*?torch\.Size\((\[[^]]*\])\)", text
    )
    if sizes:
        name, there, here = sizes[0]
        more = f" (and {len(sizes) - 1} more)" if len(sizes) > 1 else ""
        problems.append(f"its {name} is {there} where the model's is {here}{more}")
    what = "; ".join(problems) or text.splitlines()[0]
    return UserError(
        f"checkpoint {path}{_origin(path)} is of another architecture than this {objective}: {what}. "
        "Give the recipe it was trained with (config.yaml beside it), or another --ckpt_path"
    )


def _damaged(file: Path, error: RuntimeError) -> UserError:
    return UserError(f"{file} is damaged, or not a checkpoint: {str(error).splitlines()[0]}")


def _first(names: list[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")


def _origin(path: Path) -> str:
    """What the checkpoint says about the recipe it came from."""
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("jepa_vl")
    except Exception:  # only the message would be poorer
        return ""
    return f" (of run '{stored['name']}', objective {stored['objective']})" if stored else ""
