"""Runs that need processes of their own: Ctrl-C, and two at once.

What they are compared with runs in the process of the tests, without the seconds that a start takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

Command = Callable[..., tuple[int, str, str]]

COMMAND = (sys.executable, "-m", "jepa_vl")


def run(*argv: str, folder: Path, verb: str = "fit") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, verb, "--config", "tiny.yaml", *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def other_process(first: int) -> int:
    """The process that the first one of a run has started."""
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return next(int(c) for c in children if b"jepa_vl" in Path(f"/proc/{c}/cmdline").read_bytes())


def last(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)


def fit(command: Command, name: str, steps: int | None = None, *more: str) -> str:
    """Train in this process, and return what it says on stderr."""
    many = () if steps is None else ("--trainer.max_steps", str(steps))
    status, _, err = command("fit", "--config", "tiny.yaml", "--name", name, *many, *more)
    assert status == 0, err
    return err


def results(folder: Path, name: str) -> list[float]:
    """Every number of the test."""
    rows = json.loads((folder / "runs" / name / "results.json").read_text())["sets"]["test"]
    return [row["value"] for row in rows]


def test_ctrl_c_leaves_a_checkpoint_and_the_command_that_goes_on(tiny: Path, jepa_vl: Command) -> None:
    argv = [*COMMAND, "fit", "--config", "tiny.yaml", "--name", "stopped", "--trainer.max_steps", "100000"]
    process = subprocess.Popen(
        argv, cwd=tiny, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    for line in process.stdout:  # training has begun when it reports steps
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    told = err.strip().splitlines()[-1]
    assert told.startswith("stopped; go on with: jepa-vl fit --config tiny.yaml --name stopped")
    assert told.endswith("--ckpt_path last")
    steps = last(tiny, "stopped")["global_step"]
    assert steps > 0
    fit(jepa_vl, "stopped", steps + 3, "--ckpt_path", "last")
    assert last(tiny, "stopped")["global_step"] == steps + 3
    fit(jepa_vl, "whole", steps + 3)
    whole, parts = (last(tiny, name)["state_dict"] for name in ("whole", "stopped"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_two_processes_learn_what_one_learns_from_the_same_batches(tiny: Path, jepa_vl: Command) -> None:
    """Started by the command or by torchrun, and evaluated by two as by one."""
    fit(jepa_vl, "one", None, "--data.batch_size", "4")
    two = run("--name", "two", "--data.batch_size", "2", "--trainer.devices", "2", folder=tiny)
    assert two.returncode == 0, two.stderr
    a, b = (last(tiny, name)["state_dict"] for name in ("one", "two"))
    for key in a:
        # Adam makes steps of the rounding noise where the gradient is zero, as for the biases of keys
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)
    assert jepa_vl("test", "--config", "tiny.yaml", "--name", "one")[0] == 0
    done = run("--name", "two", "--trainer.devices", "2", folder=tiny, verb="test")
    assert done.returncode == 0, done.stderr
    single, double = (results(tiny, name) for name in ("one", "two"))
    assert single == pytest.approx(double, abs=1e-6)
    assert not (tiny / "runs" / "two.1").exists()
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    argv = [*launch, "-m", "jepa_vl", "fit", "--config", "tiny.yaml", "--name", "torchrun"]
    argv += ["--trainer.devices", "2", "--data.batch_size", "2"]
    done = subprocess.run(argv, cwd=tiny, capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(last(tiny, "torchrun")["state_dict"], b, atol=0, rtol=0)


def test_a_run_goes_on_with_two_processes_and_then_with_one_again(tiny: Path, jepa_vl: Command) -> None:
    """The global batch stays the same, and so do the order of the samples and what is learned."""
    whole_epochs = ("--trainer.val_check_interval", "1.0")
    said = fit(jepa_vl, "parts", 3, *whole_epochs)
    two = (
        "--data.batch_size",
        "2",
        "--trainer.devices",
        "2",
        "--trainer.max_steps",
        "5",
        "--ckpt_path",
        "last",
    )
    done = run("--name", "parts", *two, *whole_epochs, folder=tiny)
    assert done.returncode == 0, done.stderr
    said += done.stderr + fit(jepa_vl, "parts", 7, *whole_epochs, "--ckpt_path", "last")
    assert "another order" not in said
    fit(jepa_vl, "whole", 7)
    one, other = last(tiny, "whole"), last(tiny, "parts")
    assert (
        one["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        == (other["loops"]["fit_loop"]["state_dict"]["combined_loader"])
    )
    for key, weight in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][key], weight, rtol=1e-3, atol=1e-4)


def test_a_sharded_run_is_evaluated_by_one_process_from_one_file(tiny: Path) -> None:
    """By the commands of the docs; what does not fit is one message each."""
    strategy = "{class_path: lightning.pytorch.strategies.ModelParallelStrategy, init_args: %s}"
    sharded = ("--trainer.strategy", strategy % "{data_parallel_size: 1, tensor_parallel_size: 1}")
    done = run("--name", "sharded", *sharded, folder=tiny)
    assert done.returncode == 0, done.stderr
    checkpoint = "runs/sharded/checkpoints/last.ckpt"
    assert (tiny / checkpoint).is_dir()
    early = run("--name", "sharded", "--ckpt_path", "last", folder=tiny, verb="test")
    assert early.returncode == 1
    assert "is a sharded checkpoint" in early.stderr.splitlines()[-1]
    to_one = ("-m", "lightning.fabric.utilities.consolidate_checkpoint", checkpoint)
    argv = [sys.executable, *to_one, "--output_file", "runs/sharded/whole.ckpt"]
    done = subprocess.run(argv, cwd=tiny, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    one = ("--trainer.strategy", "auto", "--ckpt_path", "runs/sharded/whole.ckpt")
    argv = [*COMMAND, "test", "--config", "runs/sharded/config.yaml", *one]
    done = subprocess.run(argv, cwd=tiny, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert results(tiny, "sharded")
    on = run("--name", "sharded", *one, "--trainer.max_steps", "6", folder=tiny)
    assert on.returncode == 1
    assert "holds weights alone" in on.stderr.splitlines()[-1]


def test_another_global_batch_goes_on_with_a_new_pass_and_says_so(tiny: Path, jepa_vl: Command) -> None:
    fit(jepa_vl, "other", 3)
    more = ("--data.batch_size", "4", "--trainer.devices", "2", "--ckpt_path", "last")
    done = run("--name", "other", "--trainer.max_steps", "4", *more, folder=tiny)
    assert done.returncode == 0, done.stderr
    assert "another order than in the checkpoint (global batch 4 → 8)" in done.stderr


def training(tiny: Path) -> subprocess.Popen[str]:
    """Start two processes that would train for ever, and come back once they do."""
    argv = [*COMMAND, "fit", "--config", "tiny.yaml", "--trainer.devices", "2", "--data.batch_size", "2"]
    process = subprocess.Popen(
        [*argv, "--trainer.max_steps", "1000000"],
        cwd=tiny,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            break
    return process


def test_a_killed_process_ends_the_run_with_one_message_and_soon(tiny: Path) -> None:
    process = training(tiny)
    os.kill(other_process(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in err
    told = [
        line for line in err.splitlines() if "terminated with code -9" in line or "another process" in line
    ]
    assert len(told) == 1, err


@pytest.mark.parametrize("to", ["all", "the other"])
def test_processes_told_to_end_stop_together_with_a_checkpoint(tiny: Path, to: str) -> None:
    """By SIGTERM, as Slurm, torchrun and Kubernetes do; in its handler they cannot speak to each other."""
    process = training(tiny)
    other = other_process(process.pid)
    for each in (process.pid, other) if to == "all" else (other,):
        os.kill(each, signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.kill(other, signal.SIGKILL)
        process.kill()
        raise
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert last(tiny, "tiny")["global_step"] > 0


def test_the_first_process_killed_leaves_no_other_waiting(tiny: Path) -> None:
    process = training(tiny)
    process.kill()
    # the other one holds the pipe: its end is the end of the run
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "error: another process of this run has ended" in err


def test_slurms_signal_saves_a_checkpoint_and_has_the_job_started_again(tiny: Path, jepa_vl: Command) -> None:
    scontrol = tiny / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/bash\necho "$@" > {tiny}/asked\n')
    scontrol.chmod(0o755)
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "jepa", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
    job |= {"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_PROCID": "0"}
    env = environment() | job | {"PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    argv = [*COMMAND, "fit", "--config", "tiny.yaml", "--name", "job", "--trainer.max_steps", "100000"]
    process = subprocess.Popen(
        argv, cwd=tiny, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert (tiny / "asked").read_text() == "requeue 77\n"
    assert "job 77 will be started again" in err
    steps = last(tiny, "job")["global_step"]
    assert steps > 0
    assert not list((tiny / "runs" / "job").glob("hpc*"))  # Lightning's own is not made besides
    fit(jepa_vl, "job", steps + 2, "--ckpt_path", "last")
    fit(jepa_vl, "whole", steps + 2)
    whole, parts = (last(tiny, name)["state_dict"] for name in ("whole", "job"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_loss_that_is_no_number_on_one_process_ends_both_with_the_samples(tiny: Path) -> None:
    huge = ("--objective.optimizer.lr", "1e30", "--objective.optimizer.warmup_steps", "0")
    two = ("--trainer.devices", "2", "--data.batch_size", "2", "--trainer.max_steps", "50")
    done = run("--name", "nan", *huge, *two, folder=tiny)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    line = json.loads((tiny / "runs" / "nan" / "nonfinite.jsonl").read_text())
    assert len(line["ids"]) in (2, 4)  # of the processes whose loss it was
    assert all(weight.isfinite().all() for weight in last(tiny, "nan")["state_dict"].values())


def test_a_process_that_hangs_ends_the_run_when_its_time_is_over(tiny: Path) -> None:
    strategy = ("--trainer.strategy", "lightning.pytorch.strategies.DDPStrategy")
    argv = [*COMMAND, "fit", "--config", "tiny.yaml", "--trainer.devices", "2", "--data.batch_size", "2"]
    # the first process waits as long for the other one's imports
    argv += [*strategy, "--trainer.strategy.timeout", "0:01:00", "--trainer.max_steps", "1000000"]
    process = subprocess.Popen(
        argv, cwd=tiny, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            break
    else:
        pytest.fail(f"it has not begun: {process.communicate()[1]}")
    hanging = other_process(process.pid)
    os.kill(hanging, signal.SIGSTOP)
    try:
        process.wait(timeout=150)
    finally:
        os.kill(hanging, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "another process of this run has ended, or has not answered in time" in err
