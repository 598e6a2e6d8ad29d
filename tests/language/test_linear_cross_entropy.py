"""The chunked loss against torch's own over all scores at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.language import linear_cross_entropy as module
from jepa_vl.language.linear_cross_entropy import linear_cross_entropy

TOKENS, WIDTH, WORDS = 23, 7, 11


@pytest.fixture(autouse=True, params=[3, 23, 100])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 3 tokens, of which the last has 2; of all tokens; of more than there are."""
    monkeypatch.setitem(module.SCORES_AT_ONCE, "cpu", request.param * WORDS)


def operands(dtype=torch.float64, bias=True):
    states = torch.randn(TOKENS, WIDTH, dtype=dtype, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH, dtype=dtype, requires_grad=True)
    places = torch.randint(0, WORDS, (TOKENS,))
    return states, weight, torch.randn(WORDS, dtype=dtype, requires_grad=True) if bias else None, places


def plain(states, weight, bias, places):
    return F.cross_entropy(F.linear(states, weight, bias), places, reduction="none")


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_all_scores_at_once(bias):
    states, weight, b, places = operands(bias=bias)
    learning = [x for x in (states, weight, b) if x is not None]
    each = plain(states, weight, b, places)
    want = torch.autograd.grad(each.sum() * 0.3, learning)
    losses = linear_cross_entropy(states, weight, b, places, likeliest=True)
    torch.testing.assert_close(losses.each, each.detach(), atol=1e-12, rtol=1e-12, check_dtype=False)
    torch.testing.assert_close(losses.total, each.sum(), atol=1e-10, rtol=1e-12)
    assert torch.equal(losses.likeliest, F.linear(states, weight, b).argmax(dim=1))
    got = torch.autograd.grad(losses.total * 0.3, learning)
    torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_frozen_gets_no_gradient_and_disturbs_no_other(frozen):
    *learning, places = operands()
    learning[frozen].requires_grad_(False)
    rest = [x for x in learning if x.requires_grad]
    want = torch.autograd.grad(plain(*learning, places).sum(), rest)
    got = torch.autograd.grad(linear_cross_entropy(*learning, places).total, rest)
    torch.testing.assert_close(got, want)


def test_a_weight_that_is_also_the_table_of_embeddings_gets_both_gradients():
    _, weight, _, places = operands()

    def gradient(loss):
        states = F.embedding(places.roll(1), weight)
        return torch.autograd.grad(loss(states), weight)[0]

    want = gradient(lambda states: plain(states, weight, None, places).sum())
    got = gradient(lambda states: linear_cross_entropy(states, weight, None, places).total)
    torch.testing.assert_close(got, want)


def test_without_gradients_the_values_are_the_same_and_nothing_is_kept():
    *learning, places = operands()
    with torch.no_grad():
        losses = linear_cross_entropy(*learning, places)
    torch.testing.assert_close(losses.each, plain(*learning, places).detach(), check_dtype=False)
    assert not losses.total.requires_grad
    assert losses.likeliest is None


def test_a_token_that_cannot_be_said_costs_infinity_and_has_no_gradient():
    *learning, places = operands()
    places[4] = -1
    others = [i for i in range(TOKENS) if i != 4]
    losses = linear_cross_entropy(*learning, places)
    assert losses.each[4] == losses.total == torch.inf
    torch.testing.assert_close(
        losses.each[others],
        plain(learning[0][others], *learning[1:], places[others]).detach(),
        check_dtype=False,
    )
    got = torch.autograd.grad(losses.total, learning[0])[0]
    assert not got[4].any()
    assert got.isfinite().all()


def test_no_token_costs_nothing():
    states, weight, bias, places = operands()
    losses = linear_cross_entropy(states[:0], weight, bias, places[:0])
    losses.total.backward()
    assert losses.total == 0
    assert not weight.grad.any()


def test_a_second_backward_is_refused_and_not_scaled_twice():
    *learning, places = operands()
    losses = linear_cross_entropy(*learning, places)
    losses.total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        losses.total.backward()


def test_under_autocast_it_is_as_near_to_the_truth_as_the_plain_loss():
    *learning, places = operands(torch.float32)
    exact = [x.detach().double().requires_grad_() for x in learning]
    want = torch.autograd.grad(plain(*exact, places).sum(), exact)

    def error(loss):
        with torch.autocast("cpu", torch.bfloat16):
            value = loss()
        got = torch.autograd.grad(value, learning)
        assert [g.dtype for g in got] == [torch.float32] * 3
        return [float((g - w).norm() / w.norm()) for g, w in zip(got, want, strict=True)]

    ours = error(lambda: linear_cross_entropy(*learning, places).total)
    theirs = error(lambda: F.cross_entropy(F.linear(*learning).float(), places, reduction="sum"))
    assert all(a < 2 * b + 1e-3 for a, b in zip(ours, theirs, strict=True))


def test_weights_in_half_precision_get_gradients_in_half_precision():
    *learning, places = operands(torch.bfloat16)
    losses = linear_cross_entropy(*learning, places)
    assert losses.each.dtype == torch.float32
    losses.total.backward()
    assert [x.grad.dtype for x in learning] == [torch.bfloat16] * 3
