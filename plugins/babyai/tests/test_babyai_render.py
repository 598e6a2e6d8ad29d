from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jepa_vl_babyai import render
from jepa_vl_babyai.records import ACTION_QUERY
from jepa_vl_babyai.render import is_complete, manifest_files, render_dataset, settings_hash
from jepa_vl_babyai.settings import ALL_CLASSES, HELD_OUT, SPLITS, Settings
from jepa_vl_babyai.sheet import contact_sheet
from PIL import Image

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.sample import Sample

TINY = Settings(train_clips=4, val_clips=0, test_clips=2, novel_clips=0)


def content(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def read(folder: Path, split: str) -> list[Sample]:
    return [Sample.model_validate_json(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_another_process_with_two_workers_renders_the_same_bytes(
    small: Settings, rendered: Path, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from jepa_vl_babyai.render import render_dataset; "
        "from jepa_vl_babyai.settings import Settings; "
        f"render_dataset({small!r}, Path({str(tmp_path / 'other')!r}), workers=2)"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": path},
    )
    assert content(tmp_path / "other") == content(rendered)


def test_another_seed_renders_other_clips(tmp_path: Path) -> None:
    for seed in (0, 1):
        render_dataset(replace(TINY, seed=seed), tmp_path / str(seed))
    frames = [{f.read_bytes() for f in (tmp_path / str(seed)).rglob("*.png")} for seed in (0, 1)]
    assert len(frames[0] & frames[1]) < len(frames[0]) / 2


def test_every_clip_is_there_with_all_its_frames(small: Settings, rendered: Path) -> None:
    for split in SPLITS:
        samples = read(rendered, split)
        media = {s.media for s in samples}
        assert len(media) == small.clips(split)
        assert len({s.id for s in samples}) == len(samples)
        assert {s.split for s in samples} == {split}
        for name in media:
            frames = sorted((rendered / name).iterdir())
            assert [f.name for f in frames] == ["0.png", "1.png", "2.png", "3.png"]
            picture = np.asarray(Image.open(frames[0]))
            assert picture.shape == (64, 64, 3)
            assert picture.std() > 10


def test_splits_share_no_episode(rendered: Path) -> None:
    episodes = [{s.episode for s in read(rendered, split)} for split in SPLITS]
    assert len(set.union(*episodes)) == sum(map(len, episodes))


def test_held_out_combinations_are_in_novel_and_nowhere_else(rendered: Path) -> None:
    def combinations(split: str) -> set[tuple[str, ...]]:
        return {tuple(s.group.split("|")[:3]) for s in read(rendered, split) if s.group}

    assert set() < combinations("novel") <= HELD_OUT
    labels = {split: {s.label for s in read(rendered, split) if s.label} for split in SPLITS}
    assert labels["novel"]
    for split in ("train", "val", "test"):
        assert not combinations(split) & HELD_OUT
        assert not labels[split] & labels["novel"]
    said = " ".join(s.target for split in ("train", "val", "test") for s in read(rendered, split))
    for verb, colour, kind in HELD_OUT:
        if verb in ("put next to", "open"):
            start = {"put next to": ("puts", "places", "sets"), "open": ("opens",)}[verb]
            assert not any(f"{word} the {colour} {kind}" in said for word in start)
    assert "beside the blue ball" not in said


def test_each_part_of_a_held_out_combination_is_left_in_training() -> None:
    kept = [c for c in ALL_CLASSES if c not in HELD_OUT]
    for held in HELD_OUT:
        for part in range(3):
            assert any(c[part] == held[part] for c in kept)
        assert any(c[0] == held[0] and c[2] == held[2] for c in kept)


def test_questions_do_not_hold_their_answers_and_yes_is_as_frequent_as_no(rendered: Path) -> None:
    for split in SPLITS:
        answers: Counter[tuple[str | None, str]] = Counter()
        for sample in read(rendered, split):
            if sample.candidates is None:
                assert sample.query in ("", ACTION_QUERY)
                assert sample.label in (None, sample.target)
                continue
            assert sample.target in sample.candidates
            assert sample.target not in sample.query.split()
            answers[sample.kind, sample.target] += 1
        for kind in {kind for kind, _ in answers if kind and kind.startswith("presence")}:
            assert abs(answers[kind, "yes"] - answers[kind, "no"]) <= 1


def test_no_class_is_frequent(tmp_path: Path) -> None:
    settings = replace(TINY, train_clips=164)
    render_dataset(settings, tmp_path / "data")
    counts = Counter(s.label for s in read(tmp_path / "data", "train") if s.label)
    assert max(counts.values()) <= 3  # twice 82 classes, and 1.15 times as much rounded up
    assert len(counts) > 50


def test_a_complete_set_is_kept_and_a_half_written_one_is_rendered_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    render_dataset(TINY, folder)
    first = (folder / "train.jsonl").stat().st_mtime_ns
    render_dataset(TINY, folder)
    assert (folder / "train.jsonl").stat().st_mtime_ns == first
    (folder / "train.jsonl").unlink()
    (tmp_path / "data.part").mkdir()
    assert not is_complete(TINY, folder)
    render_dataset(TINY, folder)
    assert is_complete(TINY, folder)
    assert not (tmp_path / "data.part").exists()


@pytest.mark.parametrize("broken", ["", "{", '{"hash": "another"}'])
def test_a_broken_marker_is_noticed(tmp_path: Path, broken: str) -> None:
    render_dataset(TINY, tmp_path / "data")
    (tmp_path / "data" / render.MARKER).write_text(broken)
    assert not is_complete(TINY, tmp_path / "data")


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(UserError, match=r"no space left .*need about .* MB .*JEPA_VL_CACHE"):
        render_dataset(TINY, tmp_path / "data")
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot render BabyAI clips"):
        render_dataset(TINY, tmp_path / "file" / "data")


def test_progress_counts_every_clip(tmp_path: Path) -> None:
    counted = []

    def progress(steps, total):  # type: ignore[no-untyped-def]
        counted.append(total)
        for step in steps:
            counted.append(1)
            yield step

    render_dataset(TINY, tmp_path / "data", progress=progress)
    assert counted[0] == sum(counted[1:]) == 6


def test_the_name_of_the_data_depends_on_every_setting() -> None:
    changed = {name: getattr(TINY, name) + 1 for name in TINY.__dataclass_fields__}
    hashes = {settings_hash(replace(TINY, **{name: value})) for name, value in changed.items()}
    assert len(hashes | {settings_hash(TINY)}) == len(changed) + 1


@pytest.mark.parametrize("bad", [{"tile": 2}, {"num_frames": 1}, {"val_clips": -1}, {"train_clips": 0}])
def test_settings_that_cannot_work_are_refused_by_name(bad: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match=f"data.{next(iter(bad))} .* found {next(iter(bad.values()))}"):
        Settings(**bad)


def test_splits_without_clips_have_no_manifest(tmp_path: Path) -> None:
    assert [f.name for f in manifest_files(TINY, tmp_path)] == ["train.jsonl", "test.jsonl"]


def test_the_contact_sheet_has_a_row_for_each_clip(rendered: Path) -> None:
    samples = read(rendered, "test")
    one, four = (contact_sheet(samples, rendered, clips=n) for n in (1, 4))
    assert four.height == 4 * one.height
    assert contact_sheet(samples, rendered, clips=4, columns=2).size == (2 * one.width, 2 * one.height)
    frame = Image.open(rendered / samples[0].media / "0.png").resize((128, 128), Image.Resampling.NEAREST)
    assert np.array_equal(np.asarray(one)[6:134, 12:140], np.asarray(frame))


def test_workers_import_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, jepa_vl_babyai.episodes; print([m for m in ('torch', 'lightning') if m in sys.modules])"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == "[]\n"
