from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import SigLipLoss
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import functional_call

from jepa_vl.errors import RecipeError
from jepa_vl.losses.sigmoid import SigmoidLoss

REPEATED = torch.tensor([4, 2, 4, 4, 1])


def pair() -> tuple[Tensor, Tensor]:
    p, t = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return p.requires_grad_(), t.requires_grad_()


def test_without_repeats_it_is_siglips_loss_in_value_and_gradient() -> None:
    (p, t), (q, u) = pair(), pair()
    loss, _ = SigmoidLoss(temperature=0.1, bias=-3.0)(p, t, torch.arange(5))
    peer = SigLipLoss()(F.normalize(q, dim=-1), F.normalize(u, dim=-1), 10.0, -3.0)
    loss.backward()
    peer.backward()
    torch.testing.assert_close(loss, peer, rtol=1e-6, atol=0)
    torch.testing.assert_close(p.grad, q.grad, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(t.grad, u.grad, rtol=1e-5, atol=1e-8)


def test_every_pair_of_a_group_is_positive_as_in_a_slow_loop() -> None:
    p, t = pair()
    cos = F.cosine_similarity(p[:, None], t[None], dim=-1).tolist()
    total = 0.0
    for i in range(5):
        for j in range(5):
            sign = 1 if REPEATED[i] == REPEATED[j] else -1
            total += math.log1p(math.exp(-sign * (cos[i][j] / 0.1 - 2.0)))
    loss, _ = SigmoidLoss(temperature=0.1, bias=-2.0)(p, t, REPEATED)
    assert loss.item() == pytest.approx(total / 5, rel=1e-6)


def test_orthogonal_pairs_have_their_closed_form() -> None:
    eye = torch.eye(4)
    loss, logged = SigmoidLoss(temperature=0.2, bias=-1.0)(eye, eye, torch.arange(4))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-4)) + 3 * math.log1p(math.exp(-1)), rel=1e-6)
    assert logged["in_batch_recall"] == 1


def test_gradients_of_scale_and_bias() -> None:
    loss = SigmoidLoss().double()
    p, t = pair()
    scale, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, -0.3))
    assert gradcheck(
        lambda a, b, s, c: functional_call(loss, {"log_scale": s, "bias": c}, (a, b, REPEATED))[0],
        (p, t, scale, bias),
    )


def test_the_logged_bias_is_not_the_parameter_itself() -> None:
    """Else the value that is logged would be the one after the optimizer's step."""
    loss = SigmoidLoss()
    logged = loss(*pair(), REPEATED)[1]["bias"]
    with torch.no_grad():
        loss.bias.add_(1)
    assert logged.item() == -10


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"loss\.temperature must be above 0, got 0"):
        SigmoidLoss(temperature=0.0)
