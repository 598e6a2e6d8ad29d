"""`Outcomes`: what each sample scored, kept so that two systems can be compared in pairs."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jepa_vl.errors import UserError
from jepa_vl.whole_file import write_whole


class SetOutcomes(BaseModel):
    """The outcomes of one sample set.

    Attributes:
        episodes: Sample id → episode, for the samples that have one.
        tasks: Task → metric → sample id → value.
    """

    model_config = ConfigDict(extra="forbid")

    episodes: dict[str, str] = Field(default_factory=dict)
    tasks: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)


class Outcomes(BaseModel):
    """What every sample scored in a run's evaluation.

    Attributes:
        sets: By the name of the sample set.
    """

    model_config = ConfigDict(extra="forbid")

    sets: dict[str, SetOutcomes] = Field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write JSON; a reader never sees half of it."""
        write_whole(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        """Read what `save` wrote.

        Raises:
            UserError: The file is missing, or is not such a file.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; `jepa-vl test` writes it") from None
        except ValidationError as error:
            raise UserError(f"{path}: not a file of outcomes: {error.errors()[0]['msg']}") from None
