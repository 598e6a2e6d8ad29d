"""`Results`: the rows of every sample set and how they came about, to and from ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from jepa_vl.errors import UserError
from jepa_vl.results.run_info import RunInfo
from jepa_vl.tasks.base import Result
from jepa_vl.whole_file import write_whole


class Results(BaseModel):
    """Everything a run measured.

    Attributes:
        run: How it came about.
        sets: The rows of each sample set, by its name.
    """

    model_config = ConfigDict(extra="forbid")

    run: RunInfo
    sets: dict[str, list[Result]]

    def find(self, sample_set: str, task: str, metric: str, *, group: str = "all") -> Result:
        """Return one row.

        Raises:
            KeyError: There is none such.
        """
        for row in self.sets[sample_set]:
            if (row.task, row.metric, row.group) == (task, metric, group):
                return row
        raise KeyError(f"{sample_set} has no {task} {metric} of {group}")

    def save(self, path: Path) -> None:
        """Write JSON; a reader never sees half of it."""
        write_whole(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote.

        Raises:
            UserError: The file is missing, or is not such a file.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; `jepa-vl test` writes it") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: not a results file: {where}: {first['msg']}") from None


def with_baseline(rows: Sequence[Result], baseline: Sequence[Result], name: str) -> list[Result]:
    """Return ``rows`` with the values of the same rows of ``baseline`` as the baseline ``name``."""
    values = {(row.task, row.metric, row.group): row.value for row in baseline}
    keys = [(row.task, row.metric, row.group) for row in rows]
    return [
        replace(row, baselines={**row.baselines, name: values[key]}) if key in values else row
        for row, key in zip(rows, keys, strict=True)
    ]
