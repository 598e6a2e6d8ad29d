"""``jepa-vl plan`` of a comparison: each arm as if it were planned alone, with the hours of all its runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from jepa_vl.__main__ import main
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.plan import Comparison
from jepa_vl.planning.arms import SIDE_BY_SIDE, print_arms
from jepa_vl.planning.cards import CARDS, Card
from jepa_vl.planning.comparison import plan_arms
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import make_plan

Compare = Callable[..., Comparison]
CARD = Card("test", 10.0, None, "nowhere")
PAPER = Path(__file__).parents[2] / "recipes" / "compare" / "paper.yaml"
PLAN = ("plan", "--config", "squares.yaml", "--gpu-tflops", "1")


def test_an_arm_takes_what_its_recipe_alone_takes_for_each_seed_and_trial(compare: Compare) -> None:
    comparison = compare("data.batch_size=2")
    plans = plan_arms(comparison, lengths=Lengths(5, 8), card=CARD, utilisation=0.5)
    assert [each.arm.name for each in plans] == ["jepa", "token"]
    for each in plans:
        values = parse(make_parser(), copy.deepcopy(each.arm.values)).as_dict()
        alone = make_plan(values, lengths=Lengths(5, 8), card=CARD, utilisation=0.5)
        assert each.plan == alone
        # 2 seeds of 10 steps, and 2 values tried for half of them
        assert (each.seeds, each.trials, each.trial_steps) == (2, 2, 5)
        assert each.steps == 2 * 10 + 2 * 5
        assert alone.card_hours is not None
        assert each.card_hours == pytest.approx(alone.card_hours * 3)


def test_the_arms_stand_side_by_side(squares: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN]) == 0
    out = capfd.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["jepa", "token"] in lines
    assert ["objective", "JEPAObjective", "TokenObjective"] in lines
    assert any(line[:3] == ["all", "2", "arms:"] for line in lines)
    for word in ("trainable parameters", "memory of a process", "card hours of all", "2 of 5 steps"):
        assert word in out, word
    assert out.index("trainable parameters") < out.index("frozen parameters")
    assert not (squares / "runs").exists()


def test_one_arm_is_planned_part_by_part_and_with_its_own_keys(
    squares: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*PLAN, "--arm", "token", "--compare.seeds", "[1,2,3]"]) == 0
    out = capfd.readouterr().out
    assert "TokenObjective: batch 4" in out
    assert "arm 'token', 3 seeds and 2 trials of 5 steps: " in out
    assert "jepa" not in out
    trained = []
    for layers in ("1", "2"):
        key = ("--compare.arms.token.objective.language_model.layers", layers)
        assert main([*PLAN, "--json", "--arm", "token", *key]) == 0
        found = json.loads(capfd.readouterr().out)
        assert list(found["arms"]) == ["token"]
        assert found["card_hours_all"] == found["arms"]["token"]["card_hours_all"]
        trained.append(found["arms"]["token"]["parameters"]["language_model"]["trained"])
    assert trained[0] < trained[1]


def test_more_arms_than_stand_beside_each_other_go_below(compare: Compare) -> None:
    (one,) = plan_arms(compare(), ["token"], lengths=Lengths(5, 8), card=CARD, utilisation=0.5)
    named = [replace(one, arm=replace(one.arm, name=f"arm{i}")) for i in range(SIDE_BY_SIDE + 1)]
    console = Console(width=110, record=True, file=StringIO())
    print_arms(named, console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert [f"arm{i}" for i in range(SIDE_BY_SIDE)] in lines
    assert [f"arm{SIDE_BY_SIDE}"] in lines


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--arm", "tokens"), "--arm: no arm 'tokens'; did you mean 'token'"),
        (("--compare.arms.tokens.objective.embed_dim", "8"), "no arm 'tokens'"),
        (("--data.batch_sise", "3"), "did you mean 'batch_size'"),
        (("--trainer.max_steps", "-1"), "set trainer.max_steps"),
        (("--trainer.precision", "transformer-engine"), "arm 'jepa': trainer.precision transformer-engine"),
        (("--config", "squares.yaml"), "one --config; a comparison imports others"),
    ],
)
def test_what_is_wrong_is_one_message_and_status_2(
    squares: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    status = main([*PLAN, *words])
    out, err = capfd.readouterr()
    assert (status, out) == (2, ""), err
    assert says in err
    assert err.startswith("error: ")


@pytest.mark.slow
def test_the_papers_comparison_is_planned_without_a_hub_or_weights() -> None:
    jepa, token = plan_arms(
        load_comparison(PAPER), lengths=Lengths(0, 32), card=CARDS["h100"], utilisation=0.4
    )
    assert (jepa.plan.samples, jepa.plan.frames, jepa.plan.visual_tokens) == (15_000_064, 16, 16 * 24 * 24)
    assert jepa.plan.parameters["vision_encoder"]["frozen"] == pytest.approx(316e6, rel=0.01)
    assert jepa.plan.step.flops_vision == token.plan.step.flops_vision > 0
    trained = {
        each.arm.name: sum(
            counts["trained"] for part, counts in each.plan.parameters.items() if not part.startswith("text_")
        )
        for each in (jepa, token)
    }
    # half of the trainable parameters, the text encoder left out
    assert trained["jepa"] <= 0.5 * trained["token"]
    # 6 operations for each weight and position, and 12 d for each pair of positions
    for each, layers in ((jepa, 8), (token, 16)):
        expected = layers * (6 * 60.8e6 * 9216 + 12 * 2048 * 9216**2)
        assert each.plan.step.flops == pytest.approx(expected, rel=0.06)
