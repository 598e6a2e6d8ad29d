"""From a recipe with the key ``compare`` to a `Comparison`, every arm resolved and every key checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jepa_vl.compare.arms import LaidArm, free, lay_arm
from jepa_vl.compare.budgets import distinct
from jepa_vl.compare.plan import Comparison, Metric, Tuning
from jepa_vl.compare.words import ARMS, COMPARE, ArmWords, CompareWords, read_words
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe.document import Key, Recipe
from jepa_vl.recipe.merge import lay_over, load_recipe, with_value
from jepa_vl.recipe.resolve import PARTS, resolve

OWN_WORDS = ("about", "against", "like", "paper")  # an arm does not have them from the one that it is like


def load_comparison(file: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> Comparison:
    """Read a comparison and check it, building nothing.

    Args:
        file: The recipe.
        overrides: (dotted key, value) of the command line.

    Raises:
        RecipeError: With file, line and key: an unknown key or part, a wrong value, or an arm that differs
            from the others where the recipe does not say so.
    """
    of_arms = [override for override in overrides if _of_arm(override[0])]
    recipe = load_recipe([file], [override for override in overrides if override not in of_arms])
    words = read_words(recipe)
    shared = Recipe(
        {key: value for key, value in recipe.values.items() if key != "compare"},
        {key: place for key, place in recipe.places.items() if key[:1] != COMPARE},
    )
    if len(words.arms) < 2:
        raise recipe.error(ARMS, f"a comparison needs two arms or more, found {len(words.arms)}")
    if not {*PARTS, "trainer"} & set(shared.values):
        raise recipe.error(
            COMPARE, "the arms share nothing; say data, tasks, trainer and objective.vision_encoder beside it"
        )
    own: dict[str, list[tuple[str, str]]] = {name: [] for name in words.arms}
    for name, text in of_arms:
        _, _, arm, key = name.split(".", 3)
        if arm not in own:
            raise RecipeError(f"command line: --{name}: no arm '{arm}'; {did_you_mean(arm, own)}")
        own[arm].append((key, text))
    laid = [lay_arm(shared, _own(recipe, name, ()), name, words.varies, own[name]) for name in words.arms]
    _check_named(recipe, (*COMPARE, "varies"), words.varies, frozenset().union(*(arm.keys for arm in laid)))
    metrics = tuple(_metric(recipe, name, text, laid) for name, text in words.metrics.items())
    _check_paper(recipe, laid, metrics)
    reference = _reference(recipe, words)
    _check_against(recipe, laid)
    return Comparison(
        name=str(shared.values.get("name") or Path(file).stem),
        arms=tuple(each.arm for each in laid),
        reference=reference,
        varies=tuple(words.varies),
        seeds=_seeds(recipe, words),
        budgets=_budgets(recipe, words, laid),
        metrics=metrics,
        tuning=_tuning(recipe, words, laid),
        file=str(file),
        series=_series(recipe, words, {each.arm.name: each.arm.against or reference for each in laid}),
    )


def _of_arm(name: str) -> bool:
    """Whether a key of the command line is of one arm's recipe, and set when the arm is laid out."""
    words = name.split(".")
    return len(words) > 3 and tuple(words[:2]) == ARMS and words[3] not in ArmWords.model_fields


def _own(recipe: Recipe, name: str, above: tuple[str, ...]) -> Recipe:
    """Return what stands under an arm's name, laid over what stands under the one that it is ``like``."""
    own = recipe.below((*ARMS, name))
    like = own.values.get("like")
    if like is None:
        return own
    arms = [arm for arm in recipe.values["compare"]["arms"] if arm not in (name, *above)]
    if like not in arms:
        raise recipe.error(
            (*ARMS, name, "like"), f"there is no other arm '{like}'; {did_you_mean(like, arms)}"
        )
    base = _own(recipe, like, (*above, name))
    parts = {key: value for key, value in base.values.items() if key not in OWN_WORDS}
    return lay_over(Recipe(parts, base.places), own)


def _check_named(recipe: Recipe, key: Key, names: Sequence[str], known: frozenset[str]) -> None:
    for i, name in enumerate(names):
        if name not in known:
            raise recipe.error((*key, i), f"there is no key '{name}'; {_nearest(name, known)}")


def _nearest(name: str, keys: frozenset[str]) -> str:
    """Name the keys most like a wrong one, among those beside it where it has the right parent."""
    parent = name.rpartition(".")[0]
    beside = [key for key in keys if key.rpartition(".")[0] == parent]
    return did_you_mean(name, beside if parent in keys else keys)


def _metric(recipe: Recipe, name: str, text: str, laid: Sequence[LaidArm]) -> Metric:
    key: Key = (*COMPARE, "metrics", name)
    row, bar, group = text.partition("|")
    words = row.split(maxsplit=2)
    if len(words) < 3 or (bar and not group.strip()):
        raise recipe.error(key, f"expected 'set task metric' or 'set task metric | group', found {text!r}")
    tasks = frozenset().union(*(arm.tasks for arm in laid))
    if words[1] not in tasks:
        raise recipe.error(key, f"no arm has a task '{words[1]}'; {did_you_mean(words[1], tasks)}")
    return Metric(name, words[0], words[1], words[2].strip(), group.strip() or Metric.group)


def _check_paper(recipe: Recipe, laid: Sequence[LaidArm], metrics: Sequence[Metric]) -> None:
    names = [metric.name for metric in metrics]
    for each in laid:
        for name in each.arm.paper:
            if name not in names:
                key: Key = (*ARMS, each.arm.name, "paper", name)
                raise recipe.error(key, f"there is no such metric; {did_you_mean(name, names)}")


def _reference(recipe: Recipe, words: CompareWords) -> str:
    reference = words.reference or next(iter(words.arms))
    if reference not in words.arms:
        hint = did_you_mean(reference, words.arms)
        raise recipe.error((*COMPARE, "reference"), f"there is no arm '{reference}'; {hint}")
    return reference


def _check_against(recipe: Recipe, laid: Sequence[LaidArm]) -> None:
    names = [each.arm.name for each in laid]
    for name, against in ((each.arm.name, each.arm.against) for each in laid if each.arm.against):
        if against not in names:
            key: Key = (*ARMS, name, "against")
            raise recipe.error(key, f"there is no arm '{against}'; {did_you_mean(against, names)}")


def _series(recipe: Recipe, words: CompareWords, against: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    for title, names in words.series.items():
        key: Key = (*COMPARE, "series", title)
        for i, name in enumerate(names):
            if against.get(name, name) == name:
                arms = [arm for arm, other in against.items() if arm != other]
                raise recipe.error((*key, i), f"no arm '{name}' has a gap; {did_you_mean(name, arms)}")
        if len(set(names)) < max(2, len(names)):
            raise recipe.error(key, f"expected two different arms or more, found {names!r}")
    return {title: tuple(names) for title, names in words.series.items()}


def _seeds(recipe: Recipe, words: CompareWords) -> tuple[int, ...]:
    for i, seed in enumerate(words.seeds):
        if seed < 0 or seed in words.seeds[:i]:
            what = "must not be negative" if seed < 0 else "stands twice"
            raise recipe.error((*COMPARE, "seeds", i), f"seed {seed} {what}")
    return tuple(words.seeds)


def _budgets(recipe: Recipe, words: CompareWords, laid: Sequence[LaidArm]) -> tuple[float, ...]:
    for i, budget in enumerate(words.budgets):
        if not 0 < budget <= 1:
            key: Key = (*COMPARE, "budgets", i)
            raise recipe.error(
                key, f"expected a part of trainer.max_steps, above 0 up to 1, found {budget:g}"
            )
    return distinct(words.budgets, [arm.max_steps for arm in laid])


def _tuning(recipe: Recipe, words: CompareWords, laid: Sequence[LaidArm]) -> Tuning | None:
    tune = words.tune
    if tune is None:
        return None
    key: Key = (*COMPARE, "tune")
    for each in laid:
        if tune.key not in each.keys:
            hint = _nearest(tune.key, each.keys)
            raise recipe.error((*key, "key"), f"arm '{each.arm.name}' has no key '{tune.key}'; {hint}")
    if not free(tune.key, words.varies):
        raise recipe.error(
            (*key, "key"),
            f"each arm takes its own best value of {tune.key}, and arms must not differ in it; allow it by "
            f"`varies: [{tune.key}]` under 'compare'",
        )
    if tune.seed in words.seeds:
        raise recipe.error((*key, "seed"), f"seed {tune.seed} is one of compare.seeds; choose another")
    for i, value in enumerate(tune.values):
        where: Key = (*key, "values", i)
        if value in tune.values[:i]:
            raise recipe.error(where, f"{value!r} stands twice")
        for each in laid:
            try:
                resolve(with_value(each.recipe, tune.key, value, ""))
            except RecipeError as error:
                raise recipe.error(where, f"arm '{each.arm.name}': {error}") from error
    return Tuning(tune.key, tuple(tune.values), tune.budget, tune.seed)
