"""A tiny V-JEPA 2 with a probe and random weights, saved to disk and read back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import (
    VJEPA2Config,
    VJEPA2ForVideoClassification,
    VJEPA2Model,
    VJEPA2VideoProcessor,
)

from jepa_vl.data.video import read_clip
from jepa_vl.errors import UserError
from jepa_vl.objectives.probe import ProbeSystem
from jepa_vl.sample import Batch, Item, Sample

LABELS = ["Pushing something from left to right", "Opening [something]", "Closing [something]"]


def config() -> VJEPA2Config:
    return VJEPA2Config(
        patch_size=8,
        crop_size=32,
        frames_per_clip=4,
        tubelet_size=2,
        hidden_size=24,
        num_attention_heads=2,
        num_hidden_layers=2,
        num_pooler_layers=1,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        initializer_range=0.3,
        id2label=dict(enumerate(LABELS)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    VJEPA2ForVideoClassification(config()).save_pretrained(path)
    VJEPA2VideoProcessor(crop_size=32).save_pretrained(path)
    return str(path)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    y, x = np.mgrid[:50, :70]
    for t in range(4):
        picture = np.stack([x * 3, y * 5, 127 + 100 * np.sin(x / (3 + t))], axis=-1)
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "clip" / f"{t}.png")
    return tmp_path / "clip"


def batch_of(system: ProbeSystem, videos: Sequence[Tensor]) -> Batch:
    items = [Item(Sample(id=str(i), media="x", target="t"), i, video=v) for i, v in enumerate(videos)]
    return system.collator()(items)


def test_scores_are_the_log_probabilities_of_the_whole_model(folder: str) -> None:
    system = ProbeSystem(model=folder)
    videos = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    whole = VJEPA2ForVideoClassification.from_pretrained(folder).eval()
    seen = system.vision_encoder.preprocessing
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (seen.mean, seen.std))
    with torch.no_grad():
        wanted = whole(pixel_values_videos=(videos / 255 - mean) / std).logits.log_softmax(dim=-1)
    scores = system.score(batch_of(system, list(videos)), [LABELS, LABELS[::-1]])
    assert torch.allclose(scores[0], wanted[0], atol=1e-5)
    assert torch.allclose(scores[1], wanted[1].flip(0), atol=1e-5)
    assert wanted[0].std() > 1e-3


def test_frames_are_resized_and_cut_as_its_own_processor_does(folder: str, clip: Path) -> None:
    seen = ProbeSystem(model=folder).vision_encoder.preprocessing
    assert (seen.size, seen.resize_to, seen.num_frames) == ((32, 32), int(32 * 256 / 224), 4)
    frames = torch.stack(
        [torch.from_numpy(np.array(Image.open(clip / f"{t}.png"))).permute(2, 0, 1) for t in range(4)]
    )
    theirs = VJEPA2VideoProcessor.from_pretrained(folder)(frames, return_tensors="pt")["pixel_values_videos"][
        0
    ]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (seen.mean, seen.std))
    theirs = (theirs * std + mean) * 255
    # torch's resize and Pillow's round differently by a step or two
    assert (theirs - read_clip(str(clip), seen)).abs().max() < 2.5


def test_a_label_is_known_by_its_words(folder: str) -> None:
    system = ProbeSystem(model=folder)
    batch = batch_of(system, [torch.zeros(4, 3, 32, 32, dtype=torch.uint8)])
    other = ["pushing something from left to right", "opening  something", "closing something."]
    assert torch.equal(system.score(batch, [other])[0], system.score(batch, [LABELS])[0])


def test_an_unknown_label_is_one_message(folder: str) -> None:
    system = ProbeSystem(model=folder)
    batch = batch_of(system, [torch.zeros(4, 3, 32, 32, dtype=torch.uint8)])
    with pytest.raises(
        UserError, match=r"1 of 2 texts are no labels of the probe, first 'opening nothing'.*opening"
    ):
        system.score(batch, [[LABELS[0], "opening nothing"]])


def test_an_unknown_label_can_be_passed_over_and_is_counted_once(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    system = ProbeSystem(model=folder, unknown="never")
    batch = batch_of(system, [torch.zeros(4, 3, 32, 32, dtype=torch.uint8)])
    with caplog.at_level(logging.WARNING):
        scores = system.score(batch, [[LABELS[0], "flying"]])[0]
        system.score(batch, [[LABELS[0], "flying"]])
    assert scores[0].isfinite()
    assert scores[1] == -torch.inf
    assert [r.getMessage() for r in caplog.records if "no labels" in r.getMessage()] == [
        "1 texts are no labels of the probe and never chosen: 'flying'"
    ]


def test_a_checkpoint_without_a_probe_is_refused(tmp_path: Path) -> None:
    VJEPA2Model(config()).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has no probe: its checkpoint lacks"):
        ProbeSystem(model=str(tmp_path))


def test_a_model_of_another_kind_is_refused(tiny_bert: str) -> None:
    with pytest.raises(UserError, match="is a 'bert', no V-JEPA 2"):
        ProbeSystem(model=tiny_bert)
