from __future__ import annotations

import math
from collections.abc import Callable

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


def plain(loss: SigmoidLoss, p: Tensor, t: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and the recall, over whole matrices."""
    similarity = F.normalize(p, dim=-1) @ F.normalize(t, dim=-1).T
    same = group[:, None] == group
    logits = loss.log_scale.exp() * similarity + loss.bias
    value = -F.logsigmoid(torch.where(same, logits, -logits)).sum(dim=1).mean()
    return value, same.gather(1, similarity.argmax(dim=1, keepdim=True)).double().mean()


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 64, None])
def test_tiles_give_value_gradient_and_log_of_whole_matrices(chunk: int | None) -> None:
    found = []
    for tiled in (True, False):
        loss = SigmoidLoss(bias=-2.0, chunk=chunk).double()
        p, t = pair()
        value, logged = loss(p, t, REPEATED) if tiled else plain(loss, p, t, REPEATED)
        (2 * value).backward()
        recall = logged["in_batch_recall"] if isinstance(logged, dict) else logged
        found.append([value, p.grad, t.grad, loss.log_scale.grad, loss.bias.grad, recall])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_memory_grows_with_the_batch_and_not_with_its_square(
    saved_bytes: Callable[..., int], peak_bytes: Callable[..., int]
) -> None:
    loss = SigmoidLoss(chunk=64)

    def bytes_of(rows: int) -> tuple[int, int]:
        p, t = (x.requires_grad_() for x in torch.randn(2, rows, 8).unbind())
        group = torch.arange(rows) // 2
        return (
            saved_bytes(lambda: loss(p, t, group)[0]),
            peak_bytes(lambda: loss(p, t, group)[0].backward()),
        )

    bytes_of(64)  # what is allocated once
    small, large = bytes_of(256), bytes_of(1024)
    for few, many in zip(small, large, strict=True):
        assert many < 4.1 * few
    assert large[1] < 1024 * 1024  # not even a matrix of truth values


def test_without_a_gradient_wanted_the_value_is_the_same() -> None:
    p, t = pair()
    loss = SigmoidLoss()
    with torch.no_grad():
        value = loss(p, t, REPEATED)[0]
    assert not value.requires_grad
    torch.testing.assert_close(value, loss(p, t, REPEATED)[0].detach())


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    p, t = pair()
    loss, _ = SigmoidLoss()(p, t, REPEATED)
    (grad,) = torch.autograd.grad(loss, p, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.square().sum().backward()


def test_torch_compile_takes_it_whole_and_gives_the_same_numbers() -> None:
    found = []
    for compiled in (False, True):
        loss = SigmoidLoss(chunk=3)
        step = torch.compile(loss, backend="aot_eager", fullgraph=True) if compiled else loss
        p, t = (x.detach().float().requires_grad_() for x in pair())
        value, logged = step(p, t, REPEATED)
        value.backward()
        found.append([value, p.grad, t.grad, loss.log_scale.grad, loss.bias.grad, *logged.values()])
    torch.testing.assert_close(*found)


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
