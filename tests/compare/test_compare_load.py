from __future__ import annotations

import re
from pathlib import Path

import pytest

from jepa_vl.compare.load import load_comparison
from jepa_vl.errors import RecipeError


def test_an_arm_is_the_shared_part_with_its_own_laid_over_it(compare) -> None:
    comparison = compare()
    jepa, token = comparison.arms
    assert (comparison.name, comparison.reference, comparison.seeds) == ("squares", "token", (1, 2))
    assert jepa.about == "VL-JEPA"
    assert token.about == "token"
    for arm in (jepa, token):
        assert arm.values["data"]["init_args"]["batch_size"] == 4
        assert arm.values["objective"]["init_args"]["vision_encoder"]["init_args"] == {"num_frames": 2}
        assert [task["class_path"].rpartition(".")[2] for task in arm.values["tasks"]] == [
            "RetrievalTask",
            "VQATask",
        ]
    assert jepa.values["objective"]["init_args"]["predictor"]["init_args"]["layers"] == 1
    assert "objective.predictor.layers" in jepa.own
    assert "objective.predictor.layers" not in token.own
    assert comparison.metrics[0].task == "vqa"
    assert comparison.metrics[0].group == "all"
    assert comparison.tuning is not None
    assert comparison.tuning.values == (1e-3, 2e-3)


def test_a_metric_is_told_by_set_task_metric_and_perhaps_group(compare) -> None:
    comparison = compare("compare.metrics={a: test retrieval text-to-video R@1 | among 64}")
    (metric,) = comparison.metrics
    assert (metric.sample_set, metric.task) == ("test", "retrieval")
    assert (metric.metric, metric.group) == ("text-to-video R@1", "among 64")


def test_budgets_end_with_the_whole_run_and_no_two_are_the_same_step(compare) -> None:
    assert compare("compare.budgets=[0.5, 0.11, 0.1]").budgets == (0.11, 0.5, 1.0)
    assert compare("compare.budgets=[0.001, 0.98]").budgets == (0.001, 1.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare.sedes=[1]", r"command line: compare\.sedes: unknown key; did you mean 'seeds'"),
        ("compare.seeds=[a]", r"compare\.seeds\.0: expected a valid integer.*found 'a'"),
        ("compare.seeds=[1, 1]", r"compare\.seeds\.1: seed 1 stands twice"),
        ("compare.seeds=[0, 1]", r"squares\.yaml:\d+: compare\.tune\.seed: seed 0 is one of compare\.seeds"),
        ("compare.budgets=[0]", r"compare\.budgets\.0: expected a part of trainer\.max_steps.*found 0"),
        ("compare.budgets=[1.5]", r"compare\.budgets\.0: .*found 1\.5"),
        ("compare.reference=tokn", r"compare\.reference: there is no arm 'tokn'; did you mean 'token'"),
        ("compare.varies=[data.batchsize]", r"compare\.varies\.0: .*did you mean 'data\.batch_size'"),
        ("compare.metrics={a: test vqa}", r"compare\.metrics\.a: expected 'set task metric'"),
        ("compare.metrics={a: test vqq accuracy}", r"no arm has a task 'vqq'; did you mean 'vqa'"),
        ("compare.tune.key=objective.optimizer.rl", r"tune\.key: arm 'jepa' has no key.*optimizer\.lr"),
        (
            "compare.tune.key=data.batch_size",
            r"arms must not differ in it; allow it by `varies: \[data\.batch",
        ),
        ("compare.tune.values=[1.0, x]", r"tune\.values\.1: arm 'jepa':.*expected float, found 'x'"),
        ("compare.tune.budget=2", r"tune\.budget: expected less than or equal to 1, found '2'"),
        ("compare.tune.valeus=[1]", r"tune\.valeus: unknown key; did you mean 'values'"),
        ("compare.arms.jepa.decoder=decoder.yaml", r"arms\.jepa|decoder: .*decoder\.yaml does not exist"),
        ("compare.arms.jepa.paper={questionz: 1}", r"there is no such metric; did you mean 'questions'"),
        ("compare.arms.jepa.against=tokn", r"arms\.jepa\.against: there is no arm 'tokn'.*'token'"),
        ("compare.series={w: [jepa, tokn]}", r"compare\.series\.w\.1: no arm 'tokn' has a gap"),
        ("compare.series={w: [jepa, token]}", r"compare\.series\.w\.1: no arm 'token' has a gap"),
        ("compare.series={w: [jepa]}", r"compare\.series\.w: expected two different arms or more"),
        ("compare.arms.jepa.abuot=x", r"abuot: unknown key of arm 'jepa'; .*'about'"),
        ("compare.arms.jeap.data.batch_size=2", r"no arm 'jeap'; did you mean 'jepa'"),
        ("compare.arms.jepa.seed_everything=3", r"every arm is run with each of compare\.seeds"),
        ("compare.arms={jepa: {}}", r"a comparison needs two arms or more, found 1"),
        ("trainer.max_steps=-1", r"set trainer\.max_steps"),
    ],
)
def test_what_is_wrong_under_compare_is_named_with_its_place(compare, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        compare(override)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.batch_size", "2"),
        ("data", "manifest_of_my_own"),
        ("tasks", "[vqa]"),
        ("trainer.max_steps", "20"),
        ("trainer.precision", "bf16-mixed"),
        ("objective.vision_encoder.num_frames", "4"),
        ("objective.optimizer.lr", "0.1"),
        ("objective.optimizer.warmup_steps", "9"),
    ],
)
def test_an_arm_that_differs_outside_of_its_own_parts_is_refused(compare, key: str, value: str) -> None:
    overrides = [f"compare.arms.jepa.{key}={value}", "compare.varies=[]", "compare.tune=null"]
    told = rf"command line: compare\.arms\.jepa: {re.escape(key)}\b.*in this arm.*share.*`varies: \["
    with pytest.raises(RecipeError, match=told):
        compare(*overrides)


def test_a_listed_difference_is_allowed_with_what_lies_below_it(compare) -> None:
    comparison = compare(
        "compare.arms.jepa.trainer.max_steps=20", "compare.varies=[trainer, objective.optimizer]"
    )
    assert [str(arm.values["trainer"]["max_steps"]) for arm in comparison.arms] == ["20", "10"]
    assert comparison.varies == ("trainer", "objective.optimizer")


def test_the_command_line_changes_one_arm_as_it_changes_a_recipe(compare) -> None:
    comparison = compare("compare.arms.jepa.objective.predictor.layers=3")
    jepa, token = comparison.arms
    assert str(jepa.values["objective"]["init_args"]["predictor"]["init_args"]["layers"]) == "3"
    assert "predictor" not in token.values["objective"]["init_args"]


def test_another_class_than_the_shared_one_loses_what_is_shared_and_is_refused(compare) -> None:
    with pytest.raises(
        RecipeError, match=r"squares\.yaml:\d+: compare\.arms\.token: objective\.vision_encoder"
    ):
        compare("objective={class_path: jepa, init_args: {vision_encoder: compared_pixels}}")


def test_arms_that_share_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("compare: {arms: {a: {data: manifest}, b: {data: manifest}}}\n")
    with pytest.raises(RecipeError, match="share nothing"):
        load_comparison(tmp_path / "c.yaml")


def test_a_recipe_without_arms_is_no_comparison(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data: manifest\n")
    with pytest.raises(RecipeError, match="a comparison needs `compare:"):
        load_comparison(tmp_path / "c.yaml")


def test_a_decoder_is_found_beside_the_recipe_that_names_it(
    compare, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (squares / "say.yaml").write_text("{}\n")
    file = squares / "squares.yaml"
    file.write_text(file.read_text().replace("about: VL-JEPA", "about: VL-JEPA\n      decoder: say.yaml"))
    (squares / "elsewhere").mkdir()
    (squares / "elsewhere" / "data").symlink_to(squares / "data")
    monkeypatch.chdir(squares / "elsewhere")
    assert load_comparison("../squares.yaml").arm("jepa").decoder == str(squares / "say.yaml")


def test_null_on_the_command_line_leaves_out_what_the_recipe_names(squares: Path, compare) -> None:
    (squares / "say.yaml").touch()
    file = squares / "squares.yaml"
    file.write_text(file.read_text().replace("about: VL-JEPA", "about: VL-JEPA\n      decoder: say.yaml"))
    found = compare("compare.arms.jepa.decoder=null", "compare.tune=null", "compare.metrics.questions=null")
    assert (found.arm("jepa").decoder, found.tuning, found.metrics) == ("", None, ())


def test_an_arm_that_is_like_another_has_its_parts_and_none_of_its_words(squares: Path, compare) -> None:
    file = squares / "squares.yaml"
    text = file.read_text().replace(
        "  reference: token\n",
        "    deep:\n      like: jepa\n      against: token\n"
        "      objective: {init_args: {predictor: {init_args: {layers: 2}}}}\n  reference: token\n",
    )
    file.write_text(text.replace("about: VL-JEPA", "about: VL-JEPA\n      paper: {questions: 1.5}"))
    found = compare()
    deep, jepa = found.arm("deep"), found.arm("jepa")
    assert (deep.about, deep.paper, found.against("deep")) == ("deep", {}, "token")
    file.write_text(file.read_text().replace("against: token", "against: deep"))
    assert [compare().against(arm) for arm in ("deep", "jepa", "token")] == ["", "token", ""]
    ours, base = (arm.values["objective"]["init_args"] for arm in (deep, jepa))
    assert ours["predictor"]["init_args"] == {**base["predictor"]["init_args"], "layers": 2}
    assert {k: v for k, v in ours.items() if k != "predictor"} == {
        k: v for k, v in base.items() if k != "predictor"
    }


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"jepa": "jeap"}, r"arms\.jepa\.like: there is no other arm 'jeap'; .*"),
        ({"jepa": "jepa"}, r"arms\.jepa\.like: there is no other arm 'jepa'"),
        ({"jepa": "token", "token": "jepa"}, r"arms\.(jepa|token)\.like: there is no other arm"),
    ],
)
def test_a_wrong_or_circular_like_is_one_error(compare, like: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        compare(*(f"compare.arms.{arm}.like={other}" for arm, other in like.items()))
