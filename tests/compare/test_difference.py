from __future__ import annotations

from jepa_vl.compare.control.checks import DECIDES, decides
from jepa_vl.compare.difference import UNSET, differences, flatten, folded, within

JEPA = {
    "objective": {
        "class_path": "pkg.Jepa",
        "init_args": {"loss": {"class_path": "pkg.InfoNCE", "init_args": {"t": 1}}, "optimizer": {"lr": 1}},
    },
    "tasks": [{"class_path": "pkg.VQA", "init_args": {}}],
}
TOKEN = {
    "objective": {"class_path": "pkg.Token", "init_args": {"optimizer": {"lr": 2, "betas": [0.9, 0.9]}}},
    "tasks": [{"class_path": "pkg.VQA", "init_args": {"n": 3}}],
}


def test_a_part_stands_at_its_own_key_and_its_arguments_below() -> None:
    assert flatten(JEPA) == {
        "objective": "pkg.Jepa",
        "objective.loss": "pkg.InfoNCE",
        "objective.loss.t": 1,
        "objective.optimizer.lr": 1,
        "tasks.0": "pkg.VQA",
    }


def test_every_key_that_differs_is_found_and_no_other() -> None:
    found = {each.key: each.values for each in differences([JEPA, TOKEN])}
    assert found == {
        "objective": ("pkg.Jepa", "pkg.Token"),
        "objective.loss": ("pkg.InfoNCE", UNSET),
        "objective.loss.t": (1, UNSET),
        "objective.optimizer.lr": (1, 2),
        "objective.optimizer.betas": (UNSET, [0.9, 0.9]),
        "tasks.0.n": (UNSET, 3),
    }
    assert differences([JEPA, JEPA]) == []


def test_numbers_lists_and_switches_are_compared_as_what_they_mean() -> None:
    assert differences([{"a": 1, "b": [1, 2]}, {"a": 1.0, "b": (1, 2)}]) == []
    assert [each.key for each in differences([{"a": 1}, {"a": True}])] == ["a"]
    assert [each.key for each in differences([{"a": None}, {}])] == ["a"]  # said is not unsaid


def test_a_part_that_others_lack_is_told_as_one() -> None:
    found = {each.key: each.values for each in folded(differences([JEPA, TOKEN]))}
    assert found["objective.loss"] == ("InfoNCE, t 1", "not set")
    assert found["objective.optimizer.lr"] == ("1", "2")
    assert "objective.loss.t" not in found


def test_a_key_lies_within_itself_and_what_is_above_it_alone() -> None:
    assert within("data.batch_size", ["data"])
    assert within("data", ["data"])
    assert not within("data", ["data.batch_size"])
    assert not within("database", ["data"])


def test_a_key_decides_only_the_checks_it_has_a_say_in() -> None:
    def decided(key: str) -> set[str]:
        return {check for check in (*DECIDES, "task vqa") if decides(key, check)}

    assert decided("objective.optimizer.lr") == {"learning rate"}
    assert decided("data.val_limit") == {"validation samples"}
    assert decided("data.num_workers") == set()
    assert decided("tasks.0.n") == {"task vqa"}
    assert decided("objective.loss") == set()
    assert "learning rate" not in decided("objective.optimizer.eps")
    # another data module, or an argument of its own that only it knows the sense of
    assert {"data", "sample order", "test samples"} <= decided("data") & decided("data.train_clips")
