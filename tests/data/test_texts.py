"""Samples of text alone: nothing is read for them, and they do not mix with media in a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import write_manifest
from jepa_vl.errors import ManifestError
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import Sample, TextTokens


def no_tokens(texts: Sequence[str]) -> TextTokens:
    return TextTokens(
        torch.zeros(len(texts), 0, dtype=torch.long), torch.zeros(len(texts), 0, dtype=torch.bool)
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    lines = [Sample(id=str(i), media="", target=f"text {i}", split="test") for i in range(3)]
    write_manifest(tmp_path / "texts.jsonl", lines)
    return tmp_path / "texts.jsonl"


def attached(manifest: Path, objective: Objective) -> ManifestData:
    data = ManifestData(manifest=str(manifest), batch_size=2, val_split=None)
    data.attach(objective)
    data.prepare_data()
    data.setup("test")
    return data


def test_texts_need_no_media_though_the_objective_can_see(texts: Path, objective: Objective) -> None:
    samples = attached(texts, objective).sample_set("test")
    item = samples[1]
    assert (item.sample.target, item.video, item.tokens) == ("text 1", None, None)
    assert samples.frames(1) is None


def test_a_batch_of_texts_has_no_media(texts: Path, objective: Objective) -> None:
    samples = attached(texts, objective).sample_set("test")
    batch = Collate(query=no_tokens, target=no_tokens)([samples[0], samples[2]])
    assert not batch.has_media
    assert [s.id for s in batch.samples] == ["0", "2"]


def test_texts_are_not_evaluated_a_second_time_with_single_frames(texts: Path, objective: Objective) -> None:
    assert attached(texts, objective).test_sets == ["test"]


def test_an_objective_without_eyes_reads_no_media(tmp_path: Path, objective: Objective) -> None:
    write_manifest(tmp_path / "m.jsonl", [Sample(id="a", media="gone.mp4", target="x", split="test")])
    objective.vision_encoder = None
    assert attached(tmp_path / "m.jsonl", objective).sample_set("test")[0].video is None


def test_texts_and_media_in_one_split_are_refused(texts: Path, objective: Objective) -> None:
    mixed = [
        Sample(id="a", media="a.mp4", target="x", split="test"),
        Sample(id="b", media="", target="y", split="test"),
    ]
    write_manifest(texts, mixed)
    with pytest.raises(ManifestError, match=r"line 2: field 'media' is empty, and .*line 1 "):
        attached(texts, objective)
