from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jepa_vl.decoders.nearest import NearestText
from jepa_vl.errors import UserError


def bank() -> NearestText:
    decoder = NearestText()
    decoder.set_bank(["up", "right", "far right"], torch.tensor([[0.0, 2.0], [1.0, 1.0], [50.0, 0.0]]))
    return decoder


def test_it_says_the_text_with_the_largest_cosine_and_not_the_largest_product() -> None:
    asked = torch.tensor([[0.1, 0.9], [0.6, 0.5], [0.9, 0.1], [1e-6, 1e-8]])
    assert bank().decode(asked) == ["up", "right", "far right", "far right"]


def test_a_text_is_said_whole_however_short_it_should_be() -> None:
    assert bank().decode(torch.tensor([[0.9, 0.1]]), max_new_tokens=1) == ["far right"]


def test_half_precision_queries_are_compared_in_float32() -> None:
    decoder = NearestText()
    close = torch.tensor([[1.0, 0.0], [1.0, 1e-3]])
    decoder.set_bank(["a", "b"], close)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert decoder.decode(torch.tensor([[1.0, 0.0], [1.0, 2e-3]]).bfloat16()) == ["a", "b"]


def test_a_new_bank_replaces_the_old_one() -> None:
    decoder = bank()
    decoder.set_bank(["only"], torch.ones(1, 3))
    assert decoder.decode(torch.ones(2, 3)) == ["only", "only"]


def test_an_empty_bank_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"empty bank: give the texts that it chooses from .*--texts"):
        NearestText().decode(torch.ones(1, 2))


def test_another_width_is_named_with_both_numbers() -> None:
    with pytest.raises(UserError, match="bank of 2-d embeddings and was asked for 5-d"):
        bank().decode(torch.ones(1, 5))


def test_texts_without_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 texts need embeddings \[2, E\], got \[1, 4\]"):
        NearestText().set_bank(["a", "b"], torch.ones(1, 4))


def test_the_bank_travels_in_a_checkpoint_that_is_loaded_without_code(tmp_path: Path) -> None:
    torch.save(bank().state_dict(), tmp_path / "bank.pt")
    loaded = NearestText()
    loaded.load_state_dict(torch.load(tmp_path / "bank.pt", weights_only=True))
    assert loaded.decode(torch.tensor([[0.0, 1.0]])) == ["up"]


def test_it_has_nothing_to_train() -> None:
    assert list(bank().parameters()) == []


def test_it_asks_for_the_texts_of_its_split_and_makes_its_bank_of_them() -> None:
    decoder = NearestText(split="val")
    assert decoder.split == "val"
    decoder.tell_texts(["up", "right"], lambda texts: torch.eye(2)[: len(texts)])
    assert decoder.decode(torch.tensor([[0.1, 0.9]])) == ["right"]
