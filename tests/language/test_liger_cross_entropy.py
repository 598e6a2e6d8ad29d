"""Liger's kernels, by Triton's interpreter on a processor, against the chunked loss."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from jepa_vl.language import liger_cross_entropy, linear_cross_entropy

WORKER = Path(__file__).with_name("liger_worker.py")
TOKENS, WIDTH, WORDS = 23, 7, 50
EVERY, WEIGHT, NONE = (True, True, True), (False, True, False), (False, False, False)
# gradients needed, bias, scores at once (one chunk, several), the highest scores, a token that cannot be said
CASES = list(itertools.product([EVERY, WEIGHT, NONE], [True, False], [10**6, 4 * WORDS], [False, True]))


def operands(case: tuple[Any, ...], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    needed, bias, at_once, unsaid = case
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(0, WORDS, (TOKENS,), generator=generator)
    if unsaid:
        places[4] = -1
    return {
        "states": torch.randn(TOKENS, WIDTH, generator=generator).to(dtype),
        "weight": torch.randn(WORDS, WIDTH, generator=generator).to(dtype),
        "bias": torch.randn(WORDS, generator=generator).to(dtype) if bias else None,
        "places": places,
        "likeliest": unsaid,
        "needed": needed if bias else (*needed[:2], False),
        "scores_at_once": at_once,
    }


@pytest.fixture(scope="module")
def results(interpreted: Callable[..., list[Any]]) -> list[Any]:
    pytest.importorskip("liger_kernel")
    half = [operands(CASES[0], torch.bfloat16)]
    return interpreted(WORKER, [*(operands(c) for c in CASES), *half])


@pytest.mark.parametrize("number", range(len(CASES)), ids=[str(c) for c in CASES])
def test_losses_places_and_gradients_are_those_of_the_chunked_loss(results: list[Any], number: int) -> None:
    of = operands(CASES[number])
    each, likeliest, gradients = results[number]
    inputs = [of[name] for name in ("states", "weight", "bias", "places")]
    want = linear_cross_entropy._find(*inputs, None, of["likeliest"], of["needed"])
    torch.testing.assert_close(each, want.each, rtol=1e-5, atol=1e-5)
    said = of["places"] >= 0
    if of["likeliest"]:
        assert torch.equal(likeliest[said], want.likeliest[said])
        assert not (likeliest == of["places"])[~said].any()
    assert len(likeliest) == len(want.likeliest)
    for got, wanted, needed in zip(gradients, want.gradients, of["needed"], strict=True):
        assert (got is not None) == (wanted is not None) == needed
        if needed:
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_losses_are_float32_and_gradients_are_summed_in_it(results: list[Any]) -> None:
    each, _, gradients = results[-1]
    exact = operands(CASES[0], torch.bfloat16)
    inputs = [exact[name].double() for name in ("states", "weight", "bias")]
    want = linear_cross_entropy._find(*inputs, exact["places"], None, False, EVERY)
    assert {each.dtype, *(g.dtype for g in gradients)} == {torch.float32}
    torch.testing.assert_close(each.double(), want.each, rtol=0.02, atol=0.02)
    for got, wanted in zip(gradients, want.gradients, strict=True):
        assert (got - wanted).norm() < 0.02 * wanted.norm()


def test_the_loss_takes_them_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their gradients, which are scaled as the chunked loss's are."""
    of = operands((EVERY, True, 10**6, False))
    learning = [of[name].requires_grad_() for name in ("states", "weight", "bias")]
    calls = []

    def kernels(*inputs: Any, **words: Any) -> liger_cross_entropy.Found:
        calls.append(words["needed"])
        monkeypatch.undo()
        return linear_cross_entropy._find(*inputs, None, words["likeliest"], words["needed"])

    monkeypatch.setattr(linear_cross_entropy, "can_take", lambda *_: True)
    monkeypatch.setattr(linear_cross_entropy, "by_kernels", kernels)
    total = linear_cross_entropy.linear_cross_entropy(*learning, of["places"]).total
    got = torch.autograd.grad(total * 0.5, learning)
    assert calls == [EVERY]
    again = linear_cross_entropy.linear_cross_entropy(*learning, of["places"]).total
    torch.testing.assert_close(got, torch.autograd.grad(again * 0.5, learning))


class OnGPU:
    """What is asked of a tensor there, of which there is none here."""

    is_cuda = True

    def __init__(self, tokens: int, dtype: torch.dtype) -> None:
        self.tokens, self.dtype = tokens, dtype

    def __len__(self) -> int:
        return self.tokens


def test_processors_other_formats_and_no_tokens_are_not_for_the_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liger_cross_entropy, "kernels", lambda: object())
    take: Any = liger_cross_entropy.can_take
    half = OnGPU(2, torch.bfloat16)
    assert take(half, half)
    assert not take(torch.zeros(2, 2), torch.zeros(3, 2))
    assert not take(OnGPU(2, torch.float64), half)
    assert not take(half, OnGPU(2, torch.float64))
    assert not take(OnGPU(0, torch.bfloat16), half)
    monkeypatch.setattr(liger_cross_entropy, "kernels", lambda: None)
    assert not take(half, half)


@pytest.mark.parametrize("installed", ["not", "old"])
def test_without_a_fitting_liger_there_are_no_kernels(
    installed: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ops = ModuleType("liger_kernel.ops")
    ops.fused_linear_cross_entropy_forward = lambda _input, weight, target: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel.ops", ops)
    found = None if installed == "not" else object()
    monkeypatch.setattr(liger_cross_entropy, "find_spec", lambda _: found)
    liger_cross_entropy.kernels.cache_clear()
    try:
        assert liger_cross_entropy.kernels() is None
    finally:
        liger_cross_entropy.kernels.cache_clear()
    assert ("it lacks chunk_mem_const, compute_gradients" in caplog.text) == (installed == "old")
