"""The models of a comparison: whatever `jepa_vl.load` takes, each with a name and perhaps a decoder."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from jepa_vl.decoders.given import decoder_stamp
from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.objectives.base import Objective
from jepa_vl.use.loading import load_origin
from jepa_vl.use.origin import Origin, find_model

OPTIONS = ("decoder",)


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        name: Its row in the table.
        origin: The model.
        decoder: What says its texts, as `jepa_vl.load` takes it; empty for what it has itself.
    """

    name: str
    origin: Origin
    decoder: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read ``[NAME=]PATH[,decoder=RUN]``.

        Raises:
            RecipeError: There is no such model or decoder, or another option than ``decoder``.
        """
        model, *options = re.split(r",(?=\w+=)", text)
        given: dict[str, str] = {}
        for option in options:
            key, _, value = option.partition("=")
            if key not in OPTIONS:
                raise RecipeError(f"--model {text}: unknown option '{key}'; {did_you_mean(key, OPTIONS)}")
            given[key] = value
        name, equals, path = ("", "", model) if Path(model).exists() else model.partition("=")
        if not equals:
            path = model
        try:
            origin = find_model(path)
            if "decoder" in given:
                decoder_stamp(given["decoder"])
        except UserError as error:
            raise RecipeError(f"--model {text}: {error}") from error
        return cls(name if equals else origin.name, origin, **given)

    @property
    def key(self) -> str:
        """Hash of what it is.

        Raises:
            UserError: It cannot be read.
        """
        key = self.origin.key()
        if not self.decoder:
            return key
        return hashlib.sha256(f"{key} {decoder_stamp(self.decoder)}".encode()).hexdigest()[:16]

    def load(self) -> Objective:
        """Build it, in eval mode, on the CPU.

        Raises:
            UserError: Its parts cannot be built here, or its decoder was trained for another model.
        """
        return load_origin(self.origin, decoder=self.decoder or None, device="cpu").objective
