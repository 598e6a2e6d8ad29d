"""What a ``model:`` argument may be, and the one error when it cannot be loaded."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel

from jepa_vl import registry
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.pretrained.weights import load_hf, resolve_model


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder that the registered weights ``tiny-model`` say they are in."""
    names = registry.names
    monkeypatch.setattr(registry, "names", lambda group: [*names(group), "tiny-model"])
    monkeypatch.setattr(registry, "get", lambda group, name: lambda: tmp_path / "fetched")
    return tmp_path / "fetched"


def test_a_registered_name_is_fetched(fetched: Path) -> None:
    assert resolve_model("tiny-model") == str(fetched)


def test_weights_are_fetched_for_real_where_shapes_alone_are_built(
    fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def converts() -> Path:
        assert torch.zeros(1).device.type == "cpu"
        return fetched

    monkeypatch.setattr(registry, "get", lambda group, name: converts)
    with torch.device("meta"):
        assert resolve_model("tiny-model") == str(fetched)
        assert torch.zeros(1).is_meta


def test_a_registered_name_wins_over_a_folder_of_that_name(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny-model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model("tiny-model") == str(fetched)


def test_a_folder_and_a_hub_name_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_model(str(tmp_path)) == str(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model("~") == str(tmp_path)
    assert resolve_model("facebook/dinov2-small") == "facebook/dinov2-small"


@pytest.mark.parametrize("name", ["tiny-modle", "./no/such/folder", "/no/such", "~/none", "a/b/c"])
def test_anything_else_is_refused_with_the_nearest_weights(fetched: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=rf"no model '{name}': expected a weights name.*tiny-model"):
        resolve_model(name)


def test_a_loader_gets_the_folder_and_its_arguments(fetched: Path) -> None:
    assert load_hf(lambda path, **more: (path, more), "tiny-model", dtype="x") == (
        str(fetched),
        {"dtype": "x"},
    )


def test_a_hub_model_without_network_is_one_error_that_offers_the_weights(fetched: Path) -> None:
    def offline(path: str, **_: Any) -> None:
        raise OSError(f"We couldn't connect to the hub for {path}\nand a long explanation")

    with pytest.raises(
        UserError, match=r"hub model 'a/b': We couldn't connect.*weights: .*tiny-model"
    ) as caught:
        load_hf(offline, "a/b")
    assert "\n" not in str(caught.value)


def test_the_real_loader_without_network_is_that_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.utils.hub.is_offline_mode", lambda: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot load the hub model 'no-one/no-model'"):
        load_hf(AutoConfig.from_pretrained, "no-one/no-model")


def test_a_folder_without_a_model_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot load the folder '{tmp_path}'"):
        load_hf(AutoModel.from_pretrained, str(tmp_path))


@pytest.mark.parametrize("error", [SafetensorError("header too small"), ValueError("unknown model type")])
def test_a_broken_file_is_one_error(tmp_path: Path, error: Exception) -> None:
    def broken(path: str) -> None:
        raise error

    with pytest.raises(UserError, match=str(error)):
        load_hf(broken, str(tmp_path))


def test_a_full_disk_is_left_to_its_own_message(tmp_path: Path) -> None:
    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        load_hf(full, str(tmp_path))
