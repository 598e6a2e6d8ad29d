"""`Job`: what one training process needs to know, and the key by which a finished run is reused."""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser
from pydantic import BaseModel, ConfigDict

from jepa_vl import registry
from jepa_vl.checkpoint import checkpoint_file, file_stamp
from jepa_vl.data.base import SampleData
from jepa_vl.data.manifest import ManifestData
from jepa_vl.errors import UserError
from jepa_vl.recipe.arguments import arguments_of
from jepa_vl.runs import run_folder
from jepa_vl.whole_file import write_whole

FORMAT = 1  # of what a run leaves behind; runs of another one are made again
FILE = "job.json"


class Job(BaseModel):
    """One arm with one seed, or one trial of the tuning.

    Attributes:
        name: Name of the run, whose folder is ``runs/`` + it.
        arm: Name of the arm.
        seed: Of weights, data order and augmentation.
        values: The resolved recipe, with that name and seed.
        budgets: Fractions of the steps after which it is evaluated; a trial has one, at which it ends.
        trial: Value of the tuned key, if this is a trial.
        decoder: Resolved recipe of the decoder that is trained on the finished run; None for none.
        data_hash: Of the data.
        command: What was typed, for the results.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    arm: str
    seed: int
    values: dict[str, Any]
    budgets: tuple[float, ...]
    trial: Any = None
    decoder: dict[str, Any] | None = None
    data_hash: str = ""
    command: str = ""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return run_folder(self.name)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.arm} seed {self.seed}" if self.trial is None else f"{self.arm} tuning {self.trial}"

    @property
    def key(self) -> str:
        """Hash of everything that its results depend on, but for its decoder and the machine."""
        start = self.values.get("init_from")
        return _hash(
            {
                "format": FORMAT,
                "values": {k: v for k, v in self.values.items() if k != "name"},
                "seed": self.seed,
                "budgets": self.budgets,
                "data": self.data_hash,
                "start": _stamp(start) if start else None,
            }
        )

    @property
    def decoder_key(self) -> str:
        """Hash of the run and of its decoder's recipe."""
        return _hash({"run": self.key, "decoder": self.decoder})

    def save(self) -> Path:
        """Write it to the run's folder, for the process that does it; returns the file."""
        path = self.folder / FILE
        write_whole(path, self.model_dump_json(indent=1))
        return path

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read what `save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


def _stamp(start: str) -> str | None:
    try:
        return file_stamp(checkpoint_file(start))
    except UserError:  # gone since the run was made: another key, and no reason to show nothing
        return None


def _hash(content: Any) -> str:
    text = json.dumps(_same(content), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _same(value: Any) -> Any:
    """Return a value as the number that its text is: ``1e-3`` of the command line and ``0.001`` are one.

    Defaults are not filled in, so that an argument that a later version adds makes no run another one.
    """
    if isinstance(value, dict):
        return {key: _same(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_same(inner) for inner in value]
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)
    return value


def with_seed(values: dict[str, Any], seed: int) -> dict[str, Any]:
    """Set the seed of a resolved recipe: of weights, augmentation, and of the data's order."""
    data = dict(values["data"])
    module, _, name = data["class_path"].rpartition(".")
    if "seed" in arguments_of(getattr(import_module(module), name)):
        data["init_args"] = {**(data.get("init_args") or {}), "seed": seed}
    return {**values, "seed_everything": seed, "data": data}


def data_hash(values: dict[str, Any]) -> str:
    """Return the hash of a resolved recipe's data, which are made first if they are not there.

    Raises:
        UserError: A manifest or media cannot be read.
    """
    registry.load_local(values.get("plugins") or [])
    return _data_hash(json.dumps(values["data"], sort_keys=True))


@cache
def _data_hash(part: str) -> str:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(SampleData, "data", subclass_mode=True)
    values = copy.deepcopy({"data": json.loads(part)})
    data: SampleData = parser.instantiate_classes(parser.parse_object(values)).data
    if isinstance(data, ManifestData):
        data.make()
    return data.data_hash
