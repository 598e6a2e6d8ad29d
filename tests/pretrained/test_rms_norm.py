"""Norms by torch's own operation: what transformers computes, whatever the format, in one kernel."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from jepa_vl.pretrained.rms_norm import RMSNorm, fuse_norms

FAMILIES = ["Llama", "Mistral", "Qwen2", "Qwen3", "SmolLM3", "Gemma", "Gemma2", "Gemma3"]


def model_of(family: str) -> Any:
    name = f"{family}TextModel" if family == "Gemma3" else f"{family}Model"
    config = getattr(transformers, name.replace("Model", "Config"), None)
    if config is None:
        pytest.skip(f"this transformers has no {family}")
    small = config(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = getattr(transformers, name)(small).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # norms start from ones and zeros
    return model


def both(family: str) -> tuple[Any, Any]:
    own = model_of(family)
    ours = copy.deepcopy(own)
    fuse_norms(ours)
    return own, ours


def states(model: Any) -> Tensor:
    ids = torch.randint(1, 50, (3, 7), generator=torch.Generator().manual_seed(1))
    return model(input_ids=ids, use_cache=False).last_hidden_state


def states_and_gradients(model: Any, *, autocast: bool) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = states(model)
    out.square().sum().backward()
    return {"states": out, **{n: p.grad for n, p in model.named_parameters()}}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16 under autocast"])
def test_states_and_gradients_are_those_of_transformers_to_the_bit(family: str, autocast: bool) -> None:
    own, ours = (states_and_gradients(model, autocast=autocast) for model in both(family))
    assert own.keys() == ours.keys()
    if family == "Qwen3" and autocast:  # its norms of queries and keys round before the weight multiplies
        torch.testing.assert_close(ours["states"], own["states"], rtol=0, atol=0.05)
    else:
        assert [name for name, value in own.items() if not torch.equal(value, ours[name])] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_no_norm_is_left_and_weights_keep_their_names(family: str) -> None:
    own, ours = both(family)
    assert not any(type(m).__name__ == f"{family}RMSNorm" for m in ours.modules())
    assert own.state_dict().keys() == ours.state_dict().keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_throughout_formats_stay_and_values_are_nearer_to_the_exact_ones(family: str) -> None:
    own, ours = (model.bfloat16() for model in both(family))
    norm, fused = (
        next(m for m in model.modules() if hasattr(m, "eps") or hasattr(m, "variance_epsilon"))
        for model in (own, ours)
    )
    x = torch.randn(64, norm.weight.numel(), generator=torch.Generator().manual_seed(2)).bfloat16()
    exact = copy.deepcopy(norm).double()(x.double()) if family.startswith("Gemma") else None
    if exact is None:
        wide = x.double()
        exact = (
            wide
            * (wide.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
            * norm.weight.double()
        )
    assert fused(x).dtype == norm(x).dtype == torch.bfloat16
    assert (fused(x) - exact).norm() <= (norm(x) - exact).norm()
    assert states(ours).dtype == torch.bfloat16


def test_other_norms_stay_as_they_are() -> None:
    class OddRMSNorm(nn.Module):
        pass

    model = nn.Sequential(nn.LayerNorm(4), OddRMSNorm())
    fuse_norms(model)
    assert [type(m) for m in model] == [nn.LayerNorm, OddRMSNorm]


class Names(TorchDispatchMode):
    """Notes the operations that are done."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note it, and do it."""
        self.found.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.mark.skipif(not hasattr(torch.ops.aten, "_fused_rms_norm"), reason="this torch has no fused norm")
def test_on_a_gpu_the_norm_of_a_layer_is_one_operation() -> None:
    norm = RMSNorm(next(m for m in model_of("Llama").modules() if type(m).__name__ == "LlamaRMSNorm"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        norm.weight = nn.Parameter(torch.empty(32, device="cuda"))
        x = torch.empty(2, 5, 32, device="cuda")
        with Names() as names:
            norm(x)
    nothing = {"prim::device", "aten::detach", "aten::promote_types"}
    assert [name for name in names.found if name not in nothing] == ["aten::_fused_rms_norm"]
