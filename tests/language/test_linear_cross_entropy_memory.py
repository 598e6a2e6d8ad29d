"""What the chunked loss keeps and makes: nothing as large as tokens × vocabulary."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from jepa_vl.language import linear_cross_entropy as module
from jepa_vl.language.linear_cross_entropy import linear_cross_entropy

TOKENS, WIDTH, WORDS = 64, 8, 50


class Largest(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_iter(result) if isinstance(x, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return result


def kept_and_largest(loss):
    torch.manual_seed(0)
    states = torch.randn(TOKENS, WIDTH, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH, requires_grad=True)
    places = torch.randint(0, WORDS, (TOKENS,))
    kept: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
    with Largest() as largest, hooks:
        loss(states, weight, places).backward()
    return sum(kept), largest.numbers


def test_nothing_of_tokens_times_vocabulary_is_made_or_kept(monkeypatch):
    monkeypatch.setitem(module.SCORES_AT_ONCE, "cpu", 4 * WORDS)
    kept, largest = kept_and_largest(lambda x, w, at: linear_cross_entropy(x, w, None, at).total)
    # the gradients of states and weight, and nothing else
    assert kept == TOKENS * WIDTH + WORDS * WIDTH
    assert largest <= max(4 * WORDS, WORDS * WIDTH, TOKENS * WIDTH)
    plain_kept, plain_largest = kept_and_largest(lambda x, w, at: F.cross_entropy(x @ w.T, at))
    assert plain_kept > TOKENS * WORDS
    assert plain_largest == TOKENS * WORDS
