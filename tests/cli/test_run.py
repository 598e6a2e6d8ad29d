from __future__ import annotations

import errno
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

Command = Callable[..., tuple[int, str, str]]
FIT = ("fit", "--config", "tiny.yaml")
STOP_BY_NOTHING = (
    "[{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/scor, mode: max}}]"
)


def checkpoint(path: str = "runs/tiny/checkpoints/last.ckpt") -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def test_fit_test_and_predict_fill_the_folder_of_the_run(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl(*FIT)[0] == 0
    run = tiny / "runs" / "tiny"
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert list(run.glob("events*"))
    assert checkpoint()["jepa_vl"]["name"] == "tiny"

    status, out, err = jepa_vl("test", "--config", "tiny.yaml")
    assert status == 0, err
    assert "retrieval" in out
    assert json.loads((run / "results.json").read_text())["sets"]["test"]

    assert jepa_vl("validate", "--config", "tiny.yaml")[0] == 0
    assert jepa_vl("predict", "--config", "tiny.yaml")[0] == 0
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows[:2]] == ["test0/caption", "test0/question"]
    assert len(rows) == 8
    assert "answer" not in rows[0]
    assert rows[1]["answer"] in ("red", "green", "blue", "grey")
    assert np.load(run / "embeddings.npy").shape == (8, 16)


def test_the_saved_recipe_runs_the_same_again(tiny: Path, jepa_vl: Command) -> None:
    # a null that is no default, without which eight steps between validations were more than an epoch has
    by_steps = ("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "8")
    assert jepa_vl(*FIT, "--objective.predictor.layers", "2", "--trainer.max_steps", "3", *by_steps)[0] == 0
    first = checkpoint()["state_dict"]
    saved = tiny / "runs" / "tiny" / "config.yaml"
    recipe = yaml.safe_load(saved.read_text())
    assert recipe["objective"]["init_args"]["predictor"]["init_args"]["layers"] == 2
    assert "ckpt_path" not in recipe
    copy = tiny / "again.yaml"
    copy.write_text(saved.read_text())
    assert jepa_vl("fit", "--config", "again.yaml", "--name", "again")[0] == 0
    second = checkpoint("runs/again/checkpoints/last.ckpt")["state_dict"]
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_earlier_run_is_kept_under_a_number(tiny: Path, jepa_vl: Command) -> None:
    short = (*FIT, "--trainer.max_steps", "1")
    assert jepa_vl(*short)[0] == 0
    status, _, err = jepa_vl(*short, "--seed_everything", "2")
    assert status == 0
    assert "the earlier run in runs/tiny is now runs/tiny.1" in err
    assert jepa_vl(*short, "--seed_everything", "3")[0] == 0
    seeds = {
        p.name: yaml.safe_load((p / "config.yaml").read_text())["seed_everything"]
        for p in (tiny / "runs").iterdir()
    }
    assert seeds == {"tiny.1": 1, "tiny.2": 2, "tiny": 3}


@pytest.mark.parametrize(
    "wrong",
    [
        ("--trainer.strategy", "no-such"),  # refused before anything is loaded
        ("--data.batch_size", "100"),  # seen when the data are there
        ("--trainer.val_check_interval", "100"),
    ],
    ids=["strategy", "batch", "interval"],
)
def test_a_wrong_command_leaves_the_earlier_run_where_it_is(
    tiny: Path, jepa_vl: Command, wrong: tuple[str, str]
) -> None:
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    before = Path("runs/tiny/checkpoints/last.ckpt").read_bytes()
    assert jepa_vl(*FIT, *wrong)[0] in (1, 2)
    assert Path("runs/tiny/checkpoints/last.ckpt").read_bytes() == before
    assert not Path("runs/tiny.1").exists()


@pytest.mark.parametrize("micro_batch", ["null", "3"])
def test_a_run_that_goes_on_in_the_middle_of_an_epoch_equals_one_that_was_never_stopped(
    tiny: Path, jepa_vl: Command, micro_batch: str
) -> None:
    fit = (*FIT, "--objective.predictor.dropout", "0.2", "--objective.micro_batch", micro_batch)
    # an epoch has 4 batches
    assert jepa_vl(*fit, "--name", "whole", "--trainer.max_steps", "7")[0] == 0
    assert jepa_vl(*fit, "--name", "parts", "--trainer.max_steps", "3")[0] == 0
    resumed = (*fit, "--name", "parts", "--trainer.max_steps", "7", "--ckpt_path", "last")
    assert jepa_vl(*resumed)[0] == 0
    assert not (tiny / "runs" / "parts.1").exists()
    whole, parts = (checkpoint(f"runs/{n}/checkpoints/last.ckpt") for n in ("whole", "parts"))
    assert whole["global_step"] == parts["global_step"] == 7
    assert all(torch.equal(v, parts["state_dict"][k]) for k, v in whole["state_dict"].items())


def test_a_checkpoint_of_another_architecture_is_one_message(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    before = (tiny / "runs/tiny/config.yaml").read_text()
    for key, value, says in (
        ("objective.predictor.layers", "2", "it lacks predictor."),
        ("objective.predictor.dim", "32", "where the model's is [32"),
    ):
        status, _, err = jepa_vl(*FIT, f"--{key}", value, "--ckpt_path", "last")
        assert status == 1
        message = err.strip().splitlines()[-1]
        assert message.startswith(
            "error: checkpoint runs/tiny/checkpoints/last.ckpt (of run 'tiny', objective"
        )
        assert says in message
        assert "Traceback" not in err
    assert (tiny / "runs/tiny/config.yaml").read_text() == before


def test_a_run_does_not_go_on_with_an_optimizer_that_its_checkpoint_would_overrule(
    tiny: Path, jepa_vl: Command
) -> None:
    """Torch loads the old rates over the new ones, and the recipe that is kept would say the new ones."""
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    before = Path("runs/tiny/config.yaml").read_text()
    for key, value, says in (
        ("objective.optimizer.lr", "0.1", "optimizer.lr: predictor learns by 0.1 here, and by 0.001 in the"),
        ("objective.optimizer.weight_decay", "0", "optimizer.weight_decay: predictor learns by 0.0 here"),
        (
            "objective.text_encoder.freeze",
            "false",
            "the checkpoint has trained predictor, pred",
        ),
    ):
        status, _, err = jepa_vl(*FIT, f"--{key}", value, "--ckpt_path", "last")
        assert status == 1, err
        assert says in err.strip().splitlines()[-1]
        assert "Traceback" not in err
    assert Path("runs/tiny/config.yaml").read_text() == before
    assert jepa_vl(*FIT, "--ckpt_path", "last")[0] == 0


def test_what_is_no_checkpoint_is_one_message(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    whole = Path("runs/tiny/checkpoints/last.ckpt")
    content = torch.load(whole, weights_only=True)
    torch.save({"weights": torch.zeros(3)}, "foreign.ckpt")
    torch.save(torch.zeros(3), "tensor.ckpt")
    torch.save({**content, "code": Path("x")}, "code.ckpt")
    torch.save({key: value for key, value in content.items() if key != "optimizer_states"}, "weights.ckpt")
    with zipfile.ZipFile("archive.ckpt", "w") as archive:
        archive.writestr("a", "b")
    damaged = bytearray(whole.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 2000] = bytes(2000)
    Path("damaged.ckpt").write_bytes(damaged)
    for verb, path, says in (
        ("test", "foreign.ckpt", "was not written by `jepa-vl fit`"),
        ("test", "tensor.ckpt", "was not written by `jepa-vl fit`"),
        ("test", "code.ckpt", "which could run code (pathlib"),
        ("test", "archive.ckpt", "archive.ckpt is damaged, or not a checkpoint"),
        ("test", "damaged.ckpt", "damaged.ckpt is damaged, or not a checkpoint"),
        ("fit", "weights.ckpt", "holds weights alone"),
        ("test", "runs/tiny", "runs/tiny is a folder, and not a checkpoint; choose from"),
    ):
        status, _, err = jepa_vl(verb, "--config", "tiny.yaml", "--ckpt_path", path)
        assert status == 1, err
        assert says in err.strip().splitlines()[-1]
        assert "Traceback" not in err


@pytest.mark.parametrize("verb", ["test", "validate", "predict"])
def test_without_a_checkpoint_an_evaluation_says_what_to_do(tiny: Path, jepa_vl: Command, verb: str) -> None:
    status, _, err = jepa_vl(verb, "--config", "tiny.yaml")
    assert status == 1
    assert "run 'tiny' has no best checkpoint" in err
    assert "train with `jepa-vl fit` first" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--data.manifest", "data/manifets.jsonl"), "manifest.jsonl"),
        (("--data.test_splits", "[tset]"), "test"),
        (("--data.batch_size", "1"), "batch"),
        (("--seed_everything", "-1"), "seed_everything must be from 0 to 4294967295, found -1"),
        (("--name", "../elsewhere"), "is not the name of a folder under runs/"),
        (("--trainer.logger", "{class_path: NoSuchLogger}"), "NoSuchLogger"),
        (("--trainer.strategy", "no-such"), "trainer: You selected an invalid strategy name"),
        (("--trainer.val_check_interval", "100"), "`val_check_interval` (100) must be less than or equal"),
        (("--trainer.val_check_interval", "0"), "trainer.val_check_interval must be 1 or more, found 0"),
        (("--trainer.accumulate_grad_batches", "-1"), "accumulate_grad_batches must be 1 or more, found -1"),
        (("--trainer.callbacks", STOP_BY_NOTHING), "Early stopping conditioned on metric `val/scor`"),
        (("--trainer.devices", "-2"), "trainer: `devices` selected with `CPUAccelerator` should be an int"),
        (("--objective.predictor.heads", "3"), "found dim 16, heads 3"),
    ],
)
def test_what_only_shows_while_building_or_running_is_one_message_too(
    tiny: Path, jepa_vl: Command, argv: tuple[str, ...], says: str
) -> None:
    status, _, err = jepa_vl(*FIT, *argv)
    assert status in (1, 2)
    message = err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    assert says in message
    assert "Traceback" not in err


def test_callbacks_and_switches_of_the_recipe_win(tiny: Path, jepa_vl: Command) -> None:
    path = "lightning.pytorch.callbacks.ModelCheckpoint"
    own = f"[{{class_path: {path}, init_args: {{dirpath: mine, save_last: true}}}}]"
    assert jepa_vl(*FIT, "--name", "own", "--trainer.callbacks", own)[0] == 0
    assert (tiny / "mine" / "last.ckpt").exists()
    switches = ("--trainer.enable_checkpointing", "false", "--trainer.logger", "false")
    status, _, err = jepa_vl(*FIT, "--name", "off", *switches, "--trainer.enable_progress_bar", "false")
    assert status == 0, err
    assert not (tiny / "runs" / "off" / "checkpoints").exists()


def test_a_trial_run_leaves_the_earlier_run_alone(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    assert jepa_vl(*FIT, "--trainer.fast_dev_run", "true")[0] == 0
    assert not (tiny / "runs" / "tiny.1").exists()


def test_a_full_disk_leaves_the_recipe_and_the_predictions_as_they_were(
    tiny: Path, jepa_vl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jepa_vl(*FIT, "--trainer.max_steps", "1")[0] == 0
    assert jepa_vl("predict", "--config", "tiny.yaml", "--ckpt_path", "last")[0] == 0
    names = ("config.yaml", "predictions.jsonl")
    before = [(tiny / "runs/tiny" / name).read_bytes() for name in names]
    write = Path.write_text

    def full(file: Path, text: str, **options: Any) -> int:
        if not any(name in file.name for name in names):
            return write(file, text, **options)
        write(file, text[:10], **options)
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(Path, "write_text", full)
    for verb in ("fit", "predict"):
        status, _, err = jepa_vl(verb, "--config", "tiny.yaml", "--ckpt_path", "last")
        assert status == 1
        assert "the disk is full" in err
    assert [(tiny / "runs/tiny" / name).read_bytes() for name in names] == before


def test_print_config_says_everything_and_runs_nothing(tiny: Path, jepa_vl: Command) -> None:
    status, out, _ = jepa_vl(*FIT, "--print_config")
    assert status == 0
    recipe = yaml.safe_load(out)
    assert recipe["objective"]["init_args"]["loss"]["init_args"]["temperature"] == 0.07
    assert not (tiny / "runs").exists()


def test_a_recipe_chooses_the_average_and_skipping_by_keys(tiny: Path, jepa_vl: Command) -> None:
    callbacks = (
        "[{class_path: jepa_vl.callbacks.ema.EMA, init_args: {decay: 0.5}},"
        " {class_path: jepa_vl.callbacks.finite_loss.FiniteLoss, init_args: {action: skip}}]"
    )
    layers = ("--objective.layers.checkpoint_activations", "true", "--trainer.precision", "bf16-mixed")
    status, _, err = jepa_vl(*FIT, "--trainer.callbacks", callbacks, *layers)
    assert status == 0, err
    kept = checkpoint()
    trained = kept["trained_weights"]
    assert trained
    assert any(not torch.equal(kept["state_dict"][name], trained[name]) for name in trained)
    assert jepa_vl("test", "--config", "tiny.yaml")[0] == 0


def test_a_loss_that_is_no_number_is_one_message_with_the_samples(tiny: Path, jepa_vl: Command) -> None:
    huge = ("--objective.optimizer.lr", "1e30", "--objective.optimizer.warmup_steps", "0")
    status, _, err = jepa_vl(*FIT, *huge, "--trainer.max_steps", "50")
    assert status == 1
    told = err.strip().splitlines()[-1]
    assert told.startswith("error: the loss is nan after ")
    assert "its batch has the samples train" in told
    assert "runs/tiny/nonfinite.jsonl" in told
