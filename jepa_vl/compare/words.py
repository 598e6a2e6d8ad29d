"""The words under ``compare``, their types, and errors that name file, line and key."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe.document import Key, Recipe

COMPARE: Key = ("compare",)
ARMS: Key = ("compare", "arms")
M = TypeVar("M", bound=BaseModel)


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TuneWords(_Words):
    """``tune``: see `jepa_vl.compare.plan.Tuning`."""

    key: str
    values: list[Any] = Field(min_length=1)
    budget: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class CompareWords(_Words):
    """``compare``: see `jepa_vl.compare.plan.Comparison`."""

    arms: dict[str, dict[str, Any] | None]
    reference: str | None = None
    series: dict[str, list[str]] = Field(default_factory=dict)
    varies: list[str] = Field(default_factory=list)
    seeds: list[int] = Field(default=[1, 2, 3, 4, 5], min_length=1)
    budgets: list[float] = Field(default=[0.01, 0.03, 0.1, 0.3, 1.0])
    metrics: dict[str, str] = Field(default_factory=dict)
    tune: TuneWords | None = None


class ArmWords(BaseModel):
    """What an arm says besides its part of the recipe."""

    about: str = ""
    like: str | None = None
    against: str | None = None
    decoder: str | None = None
    paper: dict[str, float] = Field(default_factory=dict)


def read_words(recipe: Recipe) -> CompareWords:
    """Check everything under ``compare`` except for the arms' own recipes.

    Raises:
        RecipeError: With file, line and key: an unknown key, a missing one, or a wrong value.
    """
    values = recipe.values.get("compare")
    if not isinstance(values, dict):
        raise recipe.error(COMPARE, "a comparison needs `compare: {arms: {NAME: …, NAME: …}}`")
    if isinstance(values.get("arms"), dict):
        # a name such as 0.05 is a number to YAML
        values["arms"] = {str(name): arm for name, arm in values["arms"].items()}
    values["tune"] = _nothing(values.get("tune"))
    if isinstance(values.get("metrics"), dict):
        # null leaves out what an imported recipe names
        metrics = values["metrics"].items()
        values["metrics"] = {name: text for name, text in metrics if _nothing(text) is not None}
    return _checked(recipe, COMPARE, CompareWords, values)


def read_arm(own: Recipe, name: str) -> ArmWords:
    """Check an arm's own words.

    Args:
        own: What stands under the arm's name.
        name: Of the arm.

    Raises:
        RecipeError: With file, line and key.
    """
    values = {key: _nothing(value) if key == "decoder" else value for key, value in own.values.items()}
    try:
        return _checked(own, (), ArmWords, values)
    except RecipeError as error:
        raise RecipeError(f"{error} (arm '{name}')") from error


def _nothing(value: Any) -> Any:
    """Return None for null, which comes from the command line as a word."""
    return None if value == "null" else value


def _checked(recipe: Recipe, key: Key, model: type[M], values: dict[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = tuple(word for word in first["loc"] if word != "[key]")
        owner = TuneWords if where[:1] == ("tune",) else model
        if first["type"] == "extra_forbidden":
            message = f"unknown key; {did_you_mean(str(where[-1]), owner.model_fields)}"
        elif first["type"] == "missing":
            message = "it is missing"
        else:
            wanted = first["msg"].removeprefix("Input should ").removeprefix("be ")
            message = f"expected {wanted}, found {first['input']!r}"
        raise recipe.error((*key, *where), message) from error
