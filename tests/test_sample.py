from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError
from torch.utils.data._utils.pin_memory import pin_memory

from jepa_vl.sample import Batch, Sample, TextTokens


def sample(**fields: object) -> Sample:
    return Sample.model_validate({"id": "a", "media": "a.mp4", "target": "a ball", **fields})


def batch() -> Batch:
    samples = [sample(id=str(i)) for i in range(4)]
    at = torch.arange(4)
    query = TextTokens(at[:, None], at[:, None] > 0, truncated=1, rows=((), (1,), (2,), (3,)))
    target = TextTokens(at[:, None] * 10, at[:, None] > 1)
    return Batch(samples, at, at * 2, query, target, tokens=at[:, None, None].float())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"target": "  "}, "blank"),
        ({"start": 3, "end": 2}, "must lie after start"),
        ({"candidates": ["a box"]}, "not among candidates"),
        ({"candidates": ["a box"], "answer": "a key"}, "'a key' is not among"),
        ({"colour": "red"}, "colour"),
        ({"choices": ["x", "y"], "answer": "z"}, "'z' is not among choices"),
        ({"negative": "a box"}, "paraphrase and negative go together"),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        sample(**fields)


@pytest.mark.parametrize(
    "fields", [{"kind": "choice"}, {"kind": "window"}, {"choices": ["x", "y"], "answer": "x"}]
)
def test_only_a_clip_without_words_needs_no_target(fields: dict[str, object]) -> None:
    assert sample(target="", **fields).wordless
    with pytest.raises(ValidationError, match="blank"):
        sample(target="")


def test_clips_without_words_are_negatives_of_each_other() -> None:
    assert (
        sample(id="a", target="", kind="choice").group_id != sample(id="b", target="", kind="choice").group_id
    )


def test_equal_targets_are_one_group_unless_the_manifest_says_otherwise() -> None:
    assert sample(id="a").group_id == sample(id="b").group_id
    assert sample(group="x").group_id != sample().group_id
    assert sample(group="x").group_id == sample(group="x", target="another").group_id


def test_group_ids_are_the_same_in_every_process() -> None:
    """Python's own hash is not: it would make negatives of equal texts on two ranks."""
    code = "from jepa_vl.sample import Sample; print(Sample(id='a', media='a', target='a ball').group_id)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == sample().group_id


def test_select_takes_the_same_rows_of_everything() -> None:
    picked = batch().select([3, 1])
    assert [s.id for s in picked.samples] == ["3", "1"]
    assert picked.index.tolist() == [3, 1]
    assert picked.group.tolist() == [6, 2]
    assert picked.query.ids.tolist() == [[3], [1]]
    assert picked.query.rows == ((3,), (1,))
    assert picked.target.mask.tolist() == [[True], [False]]
    assert picked.target.rows is None
    assert picked.tokens is not None
    assert picked.tokens.flatten().tolist() == [3, 1]
    assert picked.video is None


def test_select_of_another_order_is_not_the_batch_itself() -> None:
    whole = batch()
    assert whole.select(range(4)) is whole
    assert [s.id for s in whole.select([3, 2, 1, 0]).samples] == ["3", "2", "1", "0"]


def test_every_tensor_moves() -> None:
    moved = batch().to("meta")
    tensors = [moved.index, moved.group, moved.query.ids, moved.query.mask, moved.target.ids, moved.tokens]
    assert all(t is not None and t.device.type == "meta" for t in tensors)
    assert moved.query.truncated == 1


@pytest.mark.parametrize("known", [False, True])
def test_places_are_where_the_mask_is_true(known: bool) -> None:
    mask = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.bool)
    text = TextTokens(mask.long() * 7, mask, rows=((7, 7), (), (7, 7, 7)) if known else None)
    values = torch.randn(3, 3, 2)
    assert torch.equal(values[text.places], values[mask])


def test_texts_without_a_token_have_no_places() -> None:
    empty = TextTokens(torch.zeros(2, 0).long(), torch.zeros(2, 0).bool(), rows=((), ()))
    assert [len(at) for at in empty.places] == [0, 0]


def test_a_loader_can_pin_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.to("meta"))  # needs a driver
    pinned = pin_memory(batch())
    assert isinstance(pinned, Batch)
    tensors = [pinned.index, pinned.query.ids, pinned.query.mask, pinned.target.ids, pinned.tokens]
    assert all(t is not None and t.device.type == "meta" for t in tensors)
    assert pinned.query.rows == batch().query.rows
