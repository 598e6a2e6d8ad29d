from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from jepa_vl.checkpoint import explain_checkpoint
from jepa_vl.cli.explain import explain
from jepa_vl.errors import ManifestError, RecipeError, UserError


class Failing(Dataset[int]):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise self.error


def through_a_worker(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        list(DataLoader(Failing(error), num_workers=1))
    return caught.value


@pytest.mark.parametrize(("kind", "status"), [(UserError, 1), (ManifestError, 1), (RecipeError, 2)])
def test_each_kind_of_user_error_has_its_status(kind: type[UserError], status: int) -> None:
    assert explain(kind("why")) == ("why", status)


def test_an_error_from_a_data_worker_loses_the_workers_trace() -> None:
    error = through_a_worker(ManifestError("clip 'a' is broken:\nno frames"))
    assert "Traceback" in str(error)
    assert explain(error) == ("clip 'a' is broken:\nno frames", 1)


def test_a_full_disk_is_one_message_here_and_from_a_worker() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/cache/x.npy")
    message, status = explain(full) or ("", 0)
    assert status == 1
    assert "the disk is full while writing /cache/x.npy" in message
    assert "JEPA_VL_CACHE" in message
    assert (explain(through_a_worker(full)) or ("", 0))[0].startswith("the disk is full")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EEXIST, errno.ENOTDIR])
def test_a_place_that_cannot_be_written_is_one_message(number: int) -> None:
    message, status = explain(OSError(number, os.strerror(number), "/cache/content-hashes")) or ("", 0)
    assert status == 1
    assert message.startswith(f"'/cache/content-hashes' cannot be used: {os.strerror(number)}; ")
    assert "JEPA_VL_CACHE" in message


def test_a_full_disk_under_a_checkpoint_names_the_checkpoint_or_at_least_the_cause() -> None:
    moved = OSError(errno.ENOSPC, "No space left on device", "/tmp/x", None, "runs/a/checkpoints/last.ckpt")
    assert "while writing runs/a/checkpoints/last.ckpt;" in (explain(moved) or ("", 0))[0]
    torchs = RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 576 vs 534")
    assert (explain(torchs) or ("", 0))[0].startswith("the disk is full; ")


def test_too_little_memory_is_one_message() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
    assert explain(error) == (
        "out of memory: CUDA out of memory. Tried to allocate 2 GiB. Try a smaller --data.batch_size",
        1,
    )


@pytest.mark.parametrize(
    "text",
    [
        "The sizes `data_parallel_size=4` and `tensor_parallel_size=1` multiplied should equal the world",
        "Early stopping conditioned on metric `val/scor` which is not available.",
    ],
)
def test_what_lightning_finds_wrong_with_the_trainers_options_is_a_wrong_recipe(text: str) -> None:
    assert explain(RuntimeError(text)) == (f"trainer: {text}", 2)


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.ENOENT, "x"), RuntimeError("x"), KeyError("a")]
)
def test_a_bug_is_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


def test_what_differs_in_a_checkpoint_is_named_once_with_counts(tmp_path: Path) -> None:
    class Old(torch.nn.Module):
        def __init__(self, wide: int, names: list[str]) -> None:
            super().__init__()
            for name in names:
                self.register_module(name, torch.nn.Linear(2, wide))

    path = tmp_path / "old.ckpt"
    state = Old(2, ["shared", "old", "older"]).state_dict()
    torch.save({"state_dict": state, "jepa_vl": {"name": "first", "objective": "Old"}}, path)
    with pytest.raises(RuntimeError) as caught:
        Old(3, ["shared", "new"]).load_state_dict(state)
    assert str(explain_checkpoint(caught.value, path, "New")) == (
        f"checkpoint {path} (of run 'first', objective Old) is of another architecture than this New: "
        "it lacks new.weight (and 1 more); it has besides old.weight (and 3 more); "
        "its shared.weight is [2, 2] where the model's is [3, 2] (and 1 more). "
        "Give the recipe it was trained with (config.yaml beside it), or another --ckpt_path"
    )


def test_another_runtime_error_is_not_blamed_on_the_checkpoint(tmp_path: Path) -> None:
    assert explain_checkpoint(RuntimeError("shape mismatch"), tmp_path / "x.ckpt", "New") is None
