"""A training step asks a GPU for nothing: what it would wait for, found without one, on tensors of shapes."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jepa_vl.language import linear_cross_entropy
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.shapes import shapes_only, strip_values
from jepa_vl.predictors.hf_layers import HFLayersPredictor
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Batch
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing
from jepa_vl.vision.frames import normalised

GPU = torch.device("cuda", 0)
#: Their result, or its shape, depends on values that the device has yet to compute.
ASKING = {"_local_scalar_dense", "nonzero", "unique_dim", "_unique2", "unique_consecutive", "masked_select"}


class Waits(TorchDispatchMode):
    """Notes what the CPU would wait for a GPU for, and the line that does.

    Those are the operations of `ASKING`, a choice by a mask, and a copy to or from it that blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note it, and go on."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        on_gpu = any(tensor.device.type == "cuda" for tensor in read)
        masks = name.startswith("index") and any(tensor.dtype is torch.bool for tensor in read[1:])
        moves = len({tensor.device.type for tensor in (*read, *made)}) > 1
        blocks = moves and name in ("_to_copy", "copy_") and not kwargs.get("non_blocking")
        if (on_gpu and (name in ASKING or masks)) or blocks:
            own = [f for f in traceback.extract_stack() if "/jepa_vl/" in f.filename]
            place = next((f for f in reversed(own) if "/planning/" not in f.filename), None)
            self.found.append(name if place is None else f"{name} at {place.filename}:{place.lineno}")
        return out


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What a training step waits for after a first one, in which new texts are embedded."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # needs a driver
    monkeypatch.setattr(linear_cross_entropy, "can_take", lambda *_: False)  # nor are kernels started
    # transformers asks nothing of tensors that are shapes alone, unlike of real ones
    monkeypatch.setattr("transformers.masking_utils.is_tracing", lambda *_: False)

    def of(objective: TrainedObjective, batch: Batch) -> list[str]:
        monkeypatch.setattr(objective, "log_train", lambda *_, **__: None)
        monkeypatch.setattr(type(objective), "logs_now", False)
        objective.train()
        assert objective.training_step(batch, 0).isfinite()
        with shapes_only(), Waits() as mode:
            strip_values(objective, device=GPU)
            objective._device = GPU
            loss = objective.training_step(batch.to(GPU, non_blocking=True), 0)
        assert loss.device == GPU
        return mode.found

    return of


@pytest.mark.parametrize("frozen", [True, False])
def test_a_training_step_waits_for_nothing(every: Any, batch_of: Any, waits: Any, frozen: bool) -> None:
    objective = every(frozen=frozen)
    masks = ("hf_text.py",) if not frozen else ()
    assert [wait for wait in waits(objective, batch_of(objective)) if not any(m in wait for m in masks)] == []


def test_models_of_transformers_wait_for_their_mask_alone(
    tiny_bert: str, tiny_llama: str, patches: Any, batch_of: Any, waits: Any
) -> None:
    predictor = HFLayersPredictor(model=tiny_llama, layers=2)
    jepa = JEPAObjective(
        vision_encoder=patches(), predictor=predictor, text_encoder=HFText(model=tiny_bert), loss=InfoNCE()
    )
    token = TokenObjective(vision_encoder=patches(), language_model=HFCausalLM(model=tiny_llama))
    for objective, place in ((jepa, "hf_text.py"), (token, "hf_causal.py")):
        found = waits(objective, batch_of(objective))
        assert len(found) <= 1
        assert all(place in wait for wait in found)


def test_texts_are_encoded_before_frames_and_learn_behind_the_predictor(
    tiny_bert: str, patches: Any, batch_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = JEPAObjective(
        vision_encoder=patches(),
        predictor=TransformerPredictor(query_model=tiny_bert, dim=32, layers=2, heads=2),
        text_encoder=HFText(model=tiny_bert),
        loss=InfoNCE(),
    )
    monkeypatch.setattr(objective, "log_train", lambda *_, **__: None)
    monkeypatch.setattr(type(objective), "logs_now", False)
    order: list[str] = []
    for name in ("vision_encoder", "predictor", "text_encoder"):
        part = getattr(objective, name)
        part.register_forward_pre_hook(lambda *_, name=name: order.append(name))
        for parameter in part.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda _, name=name: order.append(f"{name} learns"))
    objective.training_step(batch_of(objective), 0).backward()
    assert [part for part, _ in itertools.groupby(order)] == [
        *("text_encoder", "vision_encoder", "predictor"),
        *("predictor learns", "text_encoder learns"),
    ]


def test_nor_do_frames_on_their_way_to_an_encoder() -> None:
    with shapes_only(), Waits() as mode:
        frames = torch.empty(2, 4, 3, 8, 8, dtype=torch.uint8, device=GPU)
        assert normalised(frames, Preprocessing(size=(8, 8), num_frames=4)).device == GPU
    assert mode.found == []


@pytest.mark.parametrize(
    "wait",
    [
        lambda loss: loss * float(loss.detach() > 0),
        lambda loss: loss + loss[loss > 0].sum(),
        lambda loss: loss.cpu().to(loss.device),
        lambda loss: loss * torch.tensor(1.0).to(loss.device),
    ],
    ids=["a value", "a mask", "from the device", "to the device"],
)
def test_a_planted_wait_is_found(every: Any, batch_of: Any, waits: Any, monkeypatch: Any, wait: Any) -> None:
    objective = every()
    step = objective.training_step
    monkeypatch.setattr(objective, "training_step", lambda *batch: wait(step(*batch)))
    assert waits(objective, batch_of(objective))
