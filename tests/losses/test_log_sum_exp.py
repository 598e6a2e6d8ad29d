from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from jepa_vl.losses.log_sum_exp import LogSumExps, log_sum_exps
from jepa_vl.losses.pairs import Pairs

GROUP = torch.tensor([7, 3, 7, 1, 3, 7, 0, 2, 2])  # of 9 columns; a rank has 3 of them
RANKS = [0, 1, 2, None]


def case(rank: int | None) -> tuple[Tensor, Tensor, Tensor, Pairs, Tensor]:
    """Rows of one of three ranks, or of a process that has them all."""
    generator = torch.Generator().manual_seed(0)
    rows, target = torch.randn(2, 9, 5, generator=generator, dtype=torch.float64)
    weight = torch.rand(9, generator=generator, dtype=torch.float64) + 0.1
    own = slice(0, 9) if rank is None else slice(3 * rank, 3 * rank + 3)
    whole = Pairs.of(GROUP)
    pairs = Pairs(own=own, row=whole.column[own], column=whole.column, multiplicity=whole.multiplicity)
    scale = torch.tensor(4.0, dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in (rows[own], target, scale)]
    return leaves[0], leaves[1], leaves[2], pairs, weight


def plain(p: Tensor, t: Tensor, scale: Tensor, pairs: Pairs, weight: Tensor) -> LogSumExps:
    """The definitions, over the whole matrix."""
    logits = scale * F.normalize(p, dim=1) @ F.normalize(t, dim=1).T
    same = GROUP[pairs.own][:, None] == GROUP
    others = logits.masked_fill(same, -torch.inf)
    own = logits[torch.arange(len(p)), torch.arange(9)[pairs.own]]
    nearest = same.gather(1, logits.argmax(dim=1, keepdim=True)).squeeze(1)
    return LogSumExps((others + weight.log()).logsumexp(1), others.logsumexp(0), own, nearest)


@pytest.mark.parametrize("kept", [0, 8, 9])
@pytest.mark.parametrize("chunk", [1, 2, 4, 9, 50])
@pytest.mark.parametrize("rank", RANKS)
def test_tiles_of_any_size_on_any_rank_have_value_and_gradient_of_the_whole(
    rank: int | None, chunk: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a different weight on every sum, as no symmetry may hide that rows and columns are exchanged."""
    monkeypatch.setattr("jepa_vl.losses.log_sum_exp.KEPT", kept)
    generator = torch.Generator().manual_seed(1)
    rows = len(case(rank)[0])
    weights = [torch.rand(n, generator=generator, dtype=torch.float64) for n in (rows, 9, rows)]
    found = []
    for reduce in (lambda *x: log_sum_exps(*x, chunk=chunk), plain):
        p, t, scale, pairs, weight = case(rank)
        sums = reduce(p, t, scale, pairs, weight)
        sum((w * x.clamp(min=-99)).sum() for w, x in zip(weights, sums[:3], strict=True)).backward()
        found.append([*(x.clamp(min=-99) for x in sums[:3]), sums.nearest, p.grad, t.grad, scale.grad])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_gradcheck() -> None:
    p, t, scale, pairs, weight = case(1)
    # the columns of this rank's groups have no rival among its rows, and stay out of it
    some = [j for j in range(9) if not torch.equal(pairs.row, pairs.column[j].expand(3))]
    assert gradcheck(
        lambda a, b, s: tuple(
            x[some] if len(x) == 9 else x for x in log_sum_exps(a, b, s, pairs, weight, chunk=2)[:3]
        ),
        (p, t, scale),
    )


def test_a_gradient_of_one_sum_alone_is_right() -> None:
    for which in range(3):
        found = []
        for reduce in (lambda *x: log_sum_exps(*x, chunk=2), plain):
            p, t, scale, pairs, weight = case(None)
            reduce(p, t, scale, pairs, weight)[which].sum().backward()
            found.append([p.grad, t.grad, scale.grad])
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_float32_is_exact_for_aligned_opposite_and_unrelated_embeddings(scale: float) -> None:
    """At 1/τ = 100 logits span 200: a fixed shift for all rows would lose the lowest ones in float32."""
    base = torch.randn(6, 16, generator=torch.Generator().manual_seed(2))
    p = torch.cat((base, -base, torch.randn(6, 16)))
    t = torch.cat((base, base + 0.01, base.flip(0)))
    pairs, weight = Pairs.of(torch.arange(18)), torch.ones(18)
    found = []
    for dtype in (torch.float32, torch.float64):
        a, b = (x.to(dtype, copy=True).requires_grad_() for x in (p, t))
        s = torch.tensor(scale, dtype=dtype)
        sums = log_sum_exps(a, b, s, pairs, weight.to(dtype), chunk=5)
        (F.softplus(sums.row - sums.own) + F.softplus(sums.column - sums.own)).sum().backward()
        found.append([x.float() for x in (*sums[:3], a.grad, b.grad)])
    torch.testing.assert_close(*found, rtol=2e-5, atol=2e-4)


def test_without_a_rival_a_sum_counts_for_nothing_and_is_finite() -> None:
    p, t, scale, *_ = case(None)
    pairs = Pairs.of(torch.zeros(9, dtype=torch.long))
    sums = log_sum_exps(p, t, scale, pairs, torch.ones(9, dtype=torch.float64), chunk=2)
    loss = -F.logsigmoid(sums.own - sums.row).sum() - F.logsigmoid(sums.own - sums.column).sum()
    loss.backward()
    assert loss == 0
    for grad in (p.grad, t.grad, scale.grad):
        assert grad is not None
        assert grad.eq(0).all()
    assert sums.nearest.all()


def test_a_tie_with_another_group_is_no_hit() -> None:
    ones = torch.ones(4, 3)
    sums = log_sum_exps(ones, ones, torch.tensor(1.0), Pairs.of(torch.arange(4)), torch.ones(4), chunk=2)
    assert not sums.nearest.any()


def test_length_does_not_matter() -> None:
    p, t, scale, pairs, weight = case(None)
    once, again = (log_sum_exps(p * k, t / k, scale, pairs, weight, chunk=4) for k in (1.0, 7.0))
    torch.testing.assert_close(once, again)


def test_the_backward_pass_can_run_twice() -> None:
    """It must not work in the memory of what it was kept."""
    p, t, scale, pairs, weight = case(None)
    row = log_sum_exps(p, t, scale, pairs, weight, chunk=4).row.sum()
    once, twice = (torch.autograd.grad(row, (p, t, scale), retain_graph=True) for _ in range(2))
    torch.testing.assert_close(once, twice, rtol=0, atol=0)


@pytest.mark.parametrize("rows", [64, 256])
def test_what_is_kept_for_the_backward_pass_are_the_inputs_and_some_numbers_a_row(
    rows: int, saved_bytes: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepa_vl.losses.log_sum_exp.KEPT", 52)
    p, t = torch.randn(2, rows, 8).requires_grad_().unbind()
    scale, pairs, weight = torch.tensor(9.0), Pairs.of(torch.arange(rows)), torch.ones(rows)
    inputs = 4 * (2 * rows * 8 + 1)
    kept = saved_bytes(lambda: log_sum_exps(p, t, scale, pairs, weight, chunk=16).row)
    # labels (int64), weight, the two sums of each row, and two tiles of 16 logits beside a gradient of 8
    assert kept == inputs + rows * (8 + 4 + 2 * 4 + 2 * 16 * 4)
