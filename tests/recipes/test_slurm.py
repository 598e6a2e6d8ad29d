"""The sbatch file: what it asks of Slurm agrees with what it tells `jepa-vl`, and all of that parses."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from jepa_vl.cli.argv import read_argv
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "recipes" / "slurm" / "train.sbatch"
OPTIONS = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", SCRIPT.read_text(), re.MULTILINE))


def launched(tmp_path: Path, *words: str, **more: str) -> list[str]:
    """Run the script as Slurm would; what it gives to srun."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    slurm = {"SLURM_NNODES": OPTIONS["nodes"], "SLURM_NTASKS_PER_NODE": OPTIONS["ntasks-per-node"]}
    env = {**os.environ, **slurm, **more, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(SCRIPT), *words], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_world_is_nodes_times_tasks_and_the_recipe_the_papers(tmp_path: Path) -> None:
    words = launched(tmp_path, "recipes/paper.yaml", "--name", "mine")
    command = words.index("jepa-vl")
    world = int(OPTIONS["nodes"]) * int(OPTIONS["ntasks-per-node"])
    assert f"--ntasks={world}" in words[:command]
    assert "--kill-on-bad-exit=1" in words[:command]
    assert OPTIONS["gpus-per-node"] == OPTIONS["ntasks-per-node"]
    assert words[command + 1] == "fit"
    arguments = read_argv(words[command + 2 :])
    recipe = resolve(load_recipe([ROOT / c for c in arguments.configs], arguments.overrides))
    trainer = recipe["trainer"]
    assert int(trainer["devices"]) * int(trainer["num_nodes"]) == world
    assert world * recipe["data"]["init_args"]["batch_size"] == 12_288  # of the paper's second stage
    assert ("name", "mine") in arguments.overrides
    assert not any(key == "ckpt_path" for key, _ in arguments.overrides)


def test_a_job_that_was_started_again_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    words = launched(tmp_path, "recipes/paper.yaml", SLURM_RESTART_COUNT="1")
    assert words[-2:] == ["--ckpt_path", "last"]


def test_slurm_is_asked_for_the_signal_that_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from jepa_vl.callbacks import slurm

    assert OPTIONS["signal"].startswith(f"{slurm.NEARLY_UP.name}@")
    assert "requeue" in OPTIONS
