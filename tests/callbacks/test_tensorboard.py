"""What is drawn for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from jepa_vl.callbacks.tensorboard import HEIGHT, TEXT_WIDTH, add_examples, add_projection, contact_sheet
from jepa_vl.errors import ManifestError
from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Example

SAMPLE = Sample(id="a", media="a.mp4", query="what | colour?", target="red")


def example(predicted: str) -> Example:
    return Example(SAMPLE, predicted, "red", 0.5)


def test_a_sheet_has_a_row_for_each_example_whatever_the_frames() -> None:
    tall, wide = torch.zeros(20, 3, 40, 20, dtype=torch.uint8), torch.zeros(1, 3, 8, 16, dtype=torch.uint8)
    sheet = contact_sheet([(example("red"), tall), (example("blue"), wide)])
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == 2 * HEIGHT
    assert sheet.shape[1] > TEXT_WIDTH
    # right in green and wrong in red: the two rows' text differ in colour
    text = sheet[:, -TEXT_WIDTH:].reshape(2, HEIGHT, TEXT_WIDTH, 3).astype(int)
    excess = [(row[..., 1] - row[..., 0]) for row in text]
    assert excess[0].max() > 50
    assert excess[1].min() < -50


def test_no_frames_leave_the_table() -> None:
    added: list[tuple[str, str]] = []

    class Writer:
        def add_text(self, tag: str, text: str, step: int) -> None:
            added.append((tag, text))

    class Broken:
        samples: ClassVar[list[Sample]] = [SAMPLE]

        def frames(self, index: int) -> Any:
            raise ManifestError("a.mp4 cannot be read")

    add_examples(Writer(), "test/vqa", [example("blue")], Broken(), step=0)  # type: ignore[arg-type]
    ((tag, text),) = added
    assert tag == "test/vqa/examples"
    assert text.splitlines()[-1] == "| ✗ | what \\| colour? | blue | red | 0.500 |"


def test_the_projector_survives_tabs_and_newlines_in_captions(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        odd = Sample(id="b", media="b.mp4", target="a\tb\nc")
        add_projection(
            writer, videos=([odd], torch.zeros(1, 4)), texts=(["a\tb\nc"], torch.ones(1, 4)), step=3
        )
    lines = next(tmp_path.rglob("metadata.tsv")).read_text().splitlines()
    assert lines == ["caption\tlabel\tside", "a b c\t\tvideo", "a b c\t\ttext"]
    assert len(next(tmp_path.rglob("tensors.tsv")).read_text().splitlines()) == 2
