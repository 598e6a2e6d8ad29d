from __future__ import annotations

import json
import multiprocessing
import multiprocessing.process
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from jepa_vl.__main__ import main
from jepa_vl.cli.prepare import split_argv
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.errors import UserError

Command = Callable[..., tuple[int, str, str]]

PICTURES = ("--config", "tiny.yaml", "--lossless", "--shard-mib", "0.0002")
FEATURES = ("--config", "tiny.yaml", "--features", "--shard-mib", "0.0001")
SHARDS = "{class_path: shards, init_args: {shards: %s, batch_size: 4, single_frame_baseline: false}}"


def content(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_words_of_the_recipe_are_told_from_the_verb_s() -> None:
    words = ["m.jsonl", "--config", "r.yaml", "--features", "--data.seed=3", "--output", "x"]
    more = ["--trainer.devices", "2", "-c", "s.yaml", "--plugins", "p.py", "--seed_everything", "5"]
    own, recipe = split_argv([*words, *more])
    assert own == ["m.jsonl", "--features", "--output", "x"]
    assert recipe == ["--config", "r.yaml", "--data.seed=3", *more]


def test_a_recipe_trains_on_shards_with_only_its_data_changed(tiny: Path, jepa_vl: Command) -> None:
    """Pictures and tokens give the losses of the manifest's cached features, step by step."""
    status, out, err = jepa_vl("prepare", *PICTURES, "--output", "pictures")
    assert status == 0, err
    assert "pictures: 32 samples of 4 clips" in out
    status, out, err = jepa_vl("prepare", *FEATURES, "--output", "tokens", "--dtype", "float32")
    assert status == 0, err
    assert "2 × 2 × 2 tokens of 3 float32 numbers by Pixels" in out
    weights = {}
    for name in ("manifest", "pictures", "tokens"):
        data = () if name == "manifest" else ("--data", SHARDS % name)
        assert jepa_vl("fit", "--config", "tiny.yaml", "--name", name, *data)[0] == 0
        last = torch.load(Path("runs") / name / "checkpoints" / "last.ckpt", weights_only=True)
        weights[name] = last["state_dict"]
    for name in ("pictures", "tokens"):
        for key, value in weights["manifest"].items():
            torch.testing.assert_close(weights[name][key], value, rtol=1e-5, atol=1e-6)


def test_pooled_tokens_are_those_of_the_encoder_that_pools(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl("prepare", *FEATURES, "--pool", "2", "--output", "pooled")[0] == 0
    data = ("--data", SHARDS % "pooled", "--trainer.max_steps", "1")
    status, _, err = jepa_vl("fit", "--config", "tiny.yaml", *data)
    assert status == 2
    assert "holds tokens of PooledVision (2 × 1 × 1 tokens of 3 numbers" in err
    pooled = "{class_path: pooled, init_args: {vision_encoder: cli_pixels, pool: 2}}"
    assert jepa_vl("fit", "--config", "tiny.yaml", *data, "--objective.vision_encoder", pooled)[0] == 0


def test_a_manifest_alone_is_prepared_without_a_recipe(tiny: Path, jepa_vl: Command) -> None:
    argv = ("data/manifest.jsonl", "--size", "16", "--frames", "3", "--quality", "90", "--output", "out")
    status, out, _ = jepa_vl("prepare", *argv)
    assert status == 0
    assert "3 frames of 16 × 16 pixels (bicubic, shortest), kept as JPEG of quality 90" in out
    assert ShardReader("out").video(0).shape == (3, 3, 16, 16)
    status, out, _ = jepa_vl("prepare", *argv)
    assert status == 0
    assert "out: it is finished already" in out


def test_a_manifest_may_stand_in_for_the_recipe_s_data(tiny: Path, jepa_vl: Command) -> None:
    lines = (tiny / "data" / "manifest.jsonl").read_text().splitlines()
    (tiny / "data" / "few.jsonl").write_text("\n".join(lines[:4]) + "\n")
    status, out, err = jepa_vl("prepare", "data/few.jsonl", *FEATURES, "--output", "few")
    assert status == 0, err
    assert "few: 4 samples of 2 clips" in out


def test_single_frames_of_the_test_splits_are_stored_if_the_recipe_wants_them(
    tiny: Path, jepa_vl: Command
) -> None:
    assert jepa_vl("prepare", *FEATURES, "--output", "with", "--data.single_frame_baseline", "true")[0] == 0
    assert jepa_vl("prepare", *FEATURES, "--output", "without")[0] == 0
    assert ShardReader("with").prepared.plan.stills == ["test"]
    assert len(ShardReader("with")) - len(ShardReader("without")) == 4  # distinct clips


@pytest.mark.parametrize("argv", [PICTURES, FEATURES])
def test_inspect_shows_counts_and_draws_a_sheet(tiny: Path, jepa_vl: Command, argv: tuple[str, ...]) -> None:
    assert jepa_vl("prepare", *argv, "--output", "set")[0] == 0
    status, out, _ = jepa_vl("prepare", "--inspect", "set")
    assert status == 0
    assert "32 samples of 4 clips" in out
    assert [line.split()[:4] for line in out.splitlines() if line.strip().startswith("train ")] == [
        ["train", "16", "4", "8"]
    ]
    assert ("a token's norm" in out) == (argv is FEATURES)
    sheet = Image.open("set/contact-sheet.png")
    assert sheet.width > 500
    assert len(sheet.getcolors(1 << 20) or []) > 20
    assert jepa_vl("prepare", "--inspect", "set", "--sheet", "here.png")[0] == 0
    assert Path("here.png").is_file()
    status, _, err = jepa_vl("prepare", "--inspect", "set", "--sheet", "nowhere/x.png")
    assert status == 1
    assert "--sheet: 'nowhere/x.png' cannot be written" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "--output is missing"),
        (("--output", "x"), "give a MANIFEST, or a recipe by --config"),
        (("m.jsonl", "--output", "x"), "--size and --frames say how clips are read"),
        (("m.jsonl", "--output", "x", "--features"), "--features needs a recipe"),
        (("m.jsonl", "--output", "x", "--data.seed", "1"), "keys of a recipe need one"),
        ((*PICTURES, "--output", "x", "--size", "8"), "what a recipe's vision encoder says"),
        ((*PICTURES, "--output", "x", "--quality", "90"), "--quality and --lossless exclude each other"),
        ((*FEATURES, "--output", "x", "--lossless"), "of pictures, and --features stores tokens"),
        ((*PICTURES, "--output", "x", "--pool", "2"), "they need --features"),
        (
            ("m.jsonl", "--size", "8", "--frames", "2", "--output", "x", "--shard-mib", "nan"),
            "--shard-mib must be positive",
        ),
        (("m.jsonl", "--size", "0", "--frames", "2", "--output", "x"), "must be at least 1"),
        (
            (*PICTURES, "--output", "x", "--shard-mb", "1"),
            "unknown option --shard-mb; did",
        ),
        ((*FEATURES, "--output", "x", "--pool", "3"), "pool 3 does not divide the 2 × 2 tokens"),
        ((*PICTURES, "--output", "x", "--sheet", "y"), "--sheet goes with --inspect"),
        ((*PICTURES, "--inspect", "x"), "--inspect takes a PLACE and --sheet, and nothing else"),
    ],
)
def test_a_wrong_command_is_one_message(
    tiny: Path, jepa_vl: Command, argv: tuple[str, ...], said: str
) -> None:
    status, out, err = jepa_vl("prepare", *argv)
    assert (status, out) == (2, "")
    assert said in err
    assert not Path("x").exists()


def test_what_cannot_be_prepared_is_one_message(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl("prepare", *PICTURES, "--output", "set")[0] == 0
    status, _, err = jepa_vl("prepare", *PICTURES, "--output", "again", "--data", SHARDS % "set")
    assert status == 2
    assert "the recipe's data are ShardsData, which reads no manifest" in err
    status, _, err = jepa_vl("prepare", "--inspect", "data")
    assert status == 1
    assert "'data' holds no prepared data" in err
    Image.new("RGB", (8, 8)).save("data/train0/0.png")
    status, _, err = jepa_vl("prepare", *PICTURES, "--output", "set")
    assert status == 1
    assert "'set' holds what was prepared of other data" in err


# --- processes of their own

COMMAND = (sys.executable, "-m", "jepa_vl", "prepare")
FORK = multiprocessing.get_context("fork")  # a new interpreter would take seconds to import everything


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("argv", [(*PICTURES, "--trainer.accelerator", "cpu"), FEATURES])
def test_forked_processes_write_what_one_writes(tiny: Path, jepa_vl: Command, argv: tuple[str, ...]) -> None:
    assert jepa_vl("prepare", *argv, "--output", "one")[0] == 0
    more = ("--output", "two", "--trainer.devices", "2", "--trainer.strategy", "ddp_fork", "--workers", "0")
    status, _, err = jepa_vl("prepare", *argv, *more)
    assert status == 0, err
    assert content(Path("two")) == content(Path("one"))


@pytest.mark.slow
def test_two_processes_write_what_one_writes_and_say_so_once(tiny: Path, jepa_vl: Command) -> None:
    assert jepa_vl("prepare", *FEATURES, "--output", "one")[0] == 0
    more = ("--output", "two", "--trainer.devices", "2", "--trainer.strategy", "ddp", "--workers", "0")
    done = subprocess.run([*COMMAND, *FEATURES, *more], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("two: 32 samples of 4 clips") == 1
    assert content(Path("two")) == content(Path("one"))


@pytest.mark.slow
def test_too_many_bad_media_end_all_processes(tiny: Path) -> None:
    for clip in ("train1", "train4", "test2"):
        for frame in (tiny / "data" / clip).iterdir():
            frame.write_bytes(b"broken " + clip.encode())
    more = ("--output", "two", "--trainer.devices", "2", "--workers", "0", "--max-bad", "2")
    done = subprocess.run(
        [*COMMAND, *FEATURES, *more], capture_output=True, text=True, env=environment(), timeout=300
    )
    assert done.returncode == 1
    assert "cannot be read; --max-bad allows 2" in done.stderr
    assert not (tiny / "two" / "prepared.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("argv", [PICTURES, FEATURES])
def test_killed_at_random_moments_it_gives_the_set_of_an_uninterrupted_run(
    tiny: Path, argv: tuple[str, ...]
) -> None:
    lines = []
    for line in (tiny / "data" / "manifest.jsonl").read_text().splitlines():
        record = json.loads(line)
        for copy in range(12):  # as many clips of their own
            clip = tiny / "data" / f"{record['media']}-{copy}"
            if not clip.exists():
                clip.mkdir()
                for frame in range(2):
                    Image.new("RGB", (8, 8), (copy, frame, len(lines) % 256)).save(clip / f"{frame}.png")
            again = {"media": clip.name, "id": f"{record['id']}-{copy}", "episode": clip.name}
            lines.append(json.dumps({**record, **again}))
    (tiny / "data" / "manifest.jsonl").write_text("\n".join(lines) + "\n")

    def start(output: str) -> multiprocessing.process.BaseProcess:
        words = ("prepare", *argv, "--workers", "0", "--output", output)
        process = FORK.Process(target=lambda: sys.exit(main(words)))
        process.start()
        return process

    def finish(output: str) -> None:
        process = start(output)
        process.join()
        assert process.exitcode == 0

    finish("whole")
    parts, moments, killed = tiny / "parts", random.Random(0), 0
    for _ in range(8):
        before = len(list(parts.glob("notes/*")))
        running = start("parts")
        while running.is_alive() and len(list(parts.glob("notes/*"))) <= before:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.05)
        killed += running.is_alive()
        running.kill()
        running.join()
        if (parts / "prepared.json").exists():
            break
        with pytest.raises(UserError, match="not prepared to its end"):
            ShardReader(str(parts))
    finish("parts")
    assert killed > 1
    assert content(parts) == content(tiny / "whole")
