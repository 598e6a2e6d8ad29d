"""Arms: the shared part of a comparison with what is an arm's own laid over it."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from jepa_vl.cli.build import make_parser, parse
from jepa_vl.cli.run import is_trained
from jepa_vl.compare.difference import UNSET, differences, flatten, within
from jepa_vl.compare.plan import Arm
from jepa_vl.compare.words import ArmWords, read_arm
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe.document import Recipe, dotted, read_value, shown
from jepa_vl.recipe.merge import lay_over, with_value
from jepa_vl.recipe.resolve import PARTS, PLAIN, resolve

NAME = re.compile(r"[\w+-][\w.+-]*")
FOLDERS = ("tuning", "curves")  # of the comparison itself, beside those of its arms
#: Parts of an objective in which arms do not differ unless the recipe says so.
HELD_EQUAL = ("objective.vision_encoder", "objective.optimizer")
#: What an arm cannot have of its own, and why.
COMMON = {
    "name": "a run is named by its comparison, arm and seed",
    "seed_everything": "every arm is run with each of compare.seeds",
    "ckpt_path": "runs go on from their own checkpoints",
    "plugins": "put it beside 'compare', for all arms",
}


@dataclass(frozen=True)
class LaidArm:
    """An arm, and what is needed to check the rest of the comparison.

    Attributes:
        arm: The arm.
        recipe: Its recipe, not resolved, with the places of its keys.
        keys: Every dotted key that it can have, said or not.
        tasks: Names of its tasks.
        max_steps: Optimizer steps of its whole run.
    """

    arm: Arm
    recipe: Recipe
    keys: frozenset[str]
    tasks: frozenset[str]
    max_steps: int


def lay_arm(
    shared: Recipe,
    own: Recipe,
    name: str,
    varies: Sequence[str],
    overrides: Sequence[tuple[str, str]] = (),
) -> LaidArm:
    """Lay an arm's own part over the shared one, check it, and resolve it.

    Args:
        shared: Everything beside ``compare``.
        own: What stands under the arm's name.
        name: Of the arm.
        varies: Dotted keys in which arms may differ besides the objective's own parts.
        overrides: (dotted key, value) of the command line that are for this arm alone.

    Raises:
        RecipeError: With file, line and key: a wrong value, or a difference that is not listed.
    """
    if not NAME.fullmatch(name) or name in FOLDERS:
        raise RecipeError(
            f"{own.place(())}: compare.arms: '{name}' cannot be the name of an arm's folder; use letters, "
            f"digits and - _ + . and none of {', '.join(FOLDERS)}"
        )
    words = read_arm(own, name)
    top = Recipe({k: v for k, v in own.values.items() if k not in ArmWords.model_fields}, own.places)
    known = [*ArmWords.model_fields, *(word for word in PLAIN if word not in COMMON), *PARTS, "trainer"]
    for word in [*top.values, *(key.partition(".")[0] for key, _ in overrides)]:
        if word in COMMON:
            raise own.error((word,), f"arm '{name}' cannot have one of its own: {COMMON[word]}")
        if word not in known:
            raise own.error((word,), f"unknown key of arm '{name}'; {did_you_mean(str(word), known)}")
    recipe = lay_over(shared, top)
    for key, text in overrides:
        recipe = with_value(recipe, key, read_value(text), "command line")
    for each in differences([shared.values, recipe.values]):
        if not free(each.key, varies):
            typed = within(each.key, [key for key, _ in overrides])
            place = "command line" if typed else _place(top, each.key)
            raise _unlisted(place, name, each.key, each.values)
    values = resolve(recipe)
    class_path = values["objective"]["class_path"]
    if not is_trained(class_path):
        raise recipe.error(("objective", "class_path"), f"arm '{name}' has nothing to train: {class_path}")
    config = parse(make_parser(), copy.deepcopy(values))  # it changes what it is given
    max_steps = int(config.trainer.max_steps)
    if max_steps < 1:
        raise recipe.error(("trainer",), f"arm '{name}': set trainer.max_steps, budgets are parts of it")
    said = [*flatten(top.values), *(key for key, _ in overrides)]
    arm = Arm(
        name=name,
        values=values,
        own=tuple(dict.fromkeys(said)),
        decoder=_decoder(own, words.decoder),
        against=words.against or "",
        paper=words.paper,
        about=words.about or name,
    )
    keys = {*flatten(values), *flatten(config.as_dict())}
    return LaidArm(arm, recipe, _with_parents(keys), frozenset(map(_name, values["tasks"])), max_steps)


def free(key: str, varies: Sequence[str]) -> bool:
    """Whether arms may differ in a key: it is of the objective's own parts, or listed."""
    return within(key, varies) or (within(key, ["objective"]) and not within(key, HELD_EQUAL))


def _unlisted(place: str, name: str, key: str, values: Sequence[Any]) -> RecipeError:
    shared, own = ("is not set" if value is UNSET else f"is {value!r}" for value in values)
    return RecipeError(
        f"{place}: compare.arms.{name}: {key} {own} in this arm and {shared} in the part that all "
        f"share; an arm differs in the objective's own parts alone: say it beside 'compare' for all arms, or "
        f"allow it by `varies: [{key}]` under 'compare'"
    )


def _place(recipe: Recipe, key: str) -> str:
    """Return ``file:line`` of a dotted key, or of the nearest key above it."""
    words = key.split(".")
    places = {dotted(k): place for k, place in recipe.places.items()}
    above = (".".join(words[:end]) for end in range(len(words), -1, -1))
    return next((places[k] for k in above if k in places), "")


def _decoder(own: Recipe, file: str | None) -> str:
    """Return the path of a decoder's recipe, which is named from the folder of the recipe that names it."""
    if not file:
        return ""
    folder = Path(own.place(("decoder",)).rpartition(":")[0]).parent  # the command line has no folder
    path = (folder / file).resolve()
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.y*ml")]
        raise own.error(("decoder",), f"{shown(path)} does not exist; {did_you_mean(path.name, siblings)}")
    return str(path)


def _with_parents(keys: set[str]) -> frozenset[str]:
    split = (key.split(".") for key in keys)
    return frozenset(".".join(words[:end]) for words in split for end in range(1, len(words) + 1))


def _name(part: dict[str, Any]) -> str:
    module, _, name = part["class_path"].rpartition(".")
    return str(getattr(import_module(module), name).name)
