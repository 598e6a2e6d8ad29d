"""What the contract promises of every loss, whichever it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from jepa_vl.errors import UserError
from jepa_vl.losses.base import Loss
from jepa_vl.losses.frozen_target import CosineLoss, L1Loss, L2Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss
from jepa_vl.losses.sigreg import SIGReg
from jepa_vl.losses.vicreg import VICReg

GROUP = torch.tensor([0, 1, 2, 1, 3, 4])
LOSSES = [InfoNCE, SigmoidLoss, VICReg, SIGReg, CosineLoss, L1Loss, L2Loss]
every_loss = pytest.mark.parametrize("make", LOSSES)


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    p, t = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    return p.requires_grad_(), t.requires_grad_()


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast_do_not_reach_the_computation(
    make: type[Loss], dtype: torch.dtype
) -> None:
    p, t = inputs(dtype)
    want, want_logged = make()(p.float(), t.float(), GROUP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, logged = make()(p, t, GROUP)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)
    for name, value in want_logged.items():
        torch.testing.assert_close(logged[name], value, rtol=1e-6, atol=0)


@every_loss
def test_gradcheck_in_float64(make: type[Loss]) -> None:
    loss = make().double().eval()
    p, t = inputs(torch.float64)
    if loss.needs_frozen_target:
        assert gradcheck(lambda a: loss(a, t, GROUP)[0], (p,))
    else:
        assert gradcheck(lambda a, b: loss(a, b, GROUP)[0], (p, t))


@every_loss
def test_a_frozen_target_gets_no_gradient_and_any_other_does(make: type[Loss]) -> None:
    loss = make()
    p, t = inputs(torch.float32)
    loss(p, t, GROUP)[0].backward()
    assert p.grad is not None
    assert (t.grad is None) == loss.needs_frozen_target


@every_loss
def test_what_is_logged_is_a_detached_scalar(make: type[Loss]) -> None:
    value, logged = make()(*inputs(torch.float32), GROUP)
    assert value.shape == ()
    assert logged
    for entry in logged.values():
        assert entry.shape == ()
        assert not entry.requires_grad


@every_loss
def test_the_order_of_samples_does_not_matter(make: type[Loss]) -> None:
    p, t = inputs(torch.float64)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    loss = make().eval()
    torch.testing.assert_close(loss(p[order], t[order], GROUP[order])[0], loss(p, t, GROUP)[0])


@every_loss
def test_one_sample_is_refused_in_training_where_it_has_no_gradient(make: type[Loss]) -> None:
    loss = make()
    one = [x[:1] for x in (*inputs(torch.float32), GROUP)]
    if loss.min_batch == 1:
        assert loss(*one)[0].isfinite()
    else:
        with pytest.raises(UserError, match=rf"{make.__name__} .* has 1: set data\.batch_size to 2 or more"):
            loss(*one)


@every_loss
def test_a_last_validation_batch_of_one_sample_is_no_error(make: type[Loss]) -> None:
    one = [x[:1] for x in (*inputs(torch.float32), GROUP)]
    assert make().eval()(*one)[0].isfinite()


@every_loss
def test_inputs_are_not_changed(make: type[Loss]) -> None:
    p, t = inputs(torch.float32)
    before = copy.deepcopy((p, t))
    make()(p, t, GROUP)
    torch.testing.assert_close((p, t), before, rtol=0, atol=0)
