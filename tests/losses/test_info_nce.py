from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import functional_call

from jepa_vl.errors import RecipeError
from jepa_vl.losses.info_nce import InfoNCE

REPEATED = torch.tensor([7, 3, 7, 1, 3, 7, 0])


def pair(rows: int = 7, dim: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p, t = torch.randn(2, rows, dim, generator=generator, dtype=torch.float64)
    return p, t


def slow(p: Tensor, t: Tensor, group: list[int], temperature: float, *, distinct: bool) -> float:
    """The docstring's formula, one number at a time."""

    def cos(a: Tensor, b: Tensor) -> float:
        dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(float((a * a).sum()) * float((b * b).sum()))

    total = 0.0
    for i in range(len(group)):
        own = math.exp(cos(p[i], t[i]) / temperature)
        to_target, to_predicted = own, own
        for j in range(len(group)):
            if group[j] != group[i]:
                weight = 1 / group.count(group[j]) if distinct else 1.0
                to_target += weight * math.exp(cos(p[i], t[j]) / temperature)
                to_predicted += math.exp(cos(p[j], t[i]) / temperature)
        total += -math.log(own / to_target) / 2 - math.log(own / to_predicted) / 2
    return total / len(group)


def plain(loss: InfoNCE, p: Tensor, t: Tensor, group: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and what is logged, over whole matrices and masks."""
    rows = torch.arange(len(p))
    p, t = F.normalize(p, dim=-1), F.normalize(t, dim=-1)
    same = group[:, None] == group
    rivals = ~same | torch.eye(len(p), dtype=torch.bool)
    once = torch.zeros(same.shape, dtype=p.dtype).masked_fill(~rivals, -math.inf)
    shared = once
    if loss.distinct_targets:
        shared = once - same.sum(dim=0).to(p.dtype).log()
        shared[rows, rows] = 0.0
    to_target = loss.log_scale.exp() * (p @ t.T)
    value = (F.cross_entropy(to_target + shared, rows) + F.cross_entropy(to_target.T + once, rows)) / 2
    return value, {
        "temperature": 1 / loss.log_scale.exp(),
        "in_batch_recall": same[rows, to_target.argmax(dim=1)].double().mean(),
        "ln_b": (shared.logsumexp(1) + once.logsumexp(1)).mean() / 2,
    }


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("chunk", [1, 3, 4, 7, 64, None])
def test_tiles_give_value_gradient_and_log_of_whole_matrices(chunk: int | None, distinct: bool) -> None:
    found = []
    for tiled in (True, False):
        loss = InfoNCE(temperature=0.2, distinct_targets=distinct, chunk=chunk).double()
        p, t = (x.requires_grad_() for x in pair())
        value, logged = loss(p, t, REPEATED) if tiled else plain(loss, p, t, REPEATED)
        value.backward()
        found.append([value, p.grad, t.grad, loss.log_scale.grad, *(x.detach() for x in logged.values())])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_memory_grows_with_the_batch_and_not_with_its_square(
    saved_bytes: Callable[..., int], peak_bytes: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepa_vl.losses.log_sum_exp.KEPT", 72)
    loss = InfoNCE(chunk=64)

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


def test_torch_compile_takes_it_whole_and_gives_the_same_numbers() -> None:
    found = []
    for compiled in (False, True):
        loss = InfoNCE(chunk=3)
        step = torch.compile(loss, backend="aot_eager", fullgraph=True) if compiled else loss
        p, t = (x.float().requires_grad_() for x in pair())
        value, logged = step(p, t, REPEATED)
        value.backward()
        found.append([value, p.grad, t.grad, loss.log_scale.grad, *(x.detach() for x in logged.values())])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_without_repeats_it_is_clips_loss_in_value_and_gradient(temperature: float) -> None:
    ours, theirs = ([x.clone().requires_grad_() for x in pair()] for _ in range(2))
    loss, _ = InfoNCE(temperature=temperature).double()(*ours, torch.arange(7))
    peer = ClipLoss()(*(F.normalize(x, dim=-1) for x in theirs), 1 / temperature)
    loss.backward()
    peer.backward()
    # the scale is kept in float32
    torch.testing.assert_close(loss, peer, rtol=1e-6, atol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("distinct", [True, False])
def test_repeated_targets_agree_with_a_slow_loop(distinct: bool) -> None:
    p, t = pair()
    loss, _ = InfoNCE(temperature=0.2, distinct_targets=distinct)(p, t, REPEATED)
    assert loss.item() == pytest.approx(slow(p, t, REPEATED.tolist(), 0.2, distinct=distinct), rel=1e-6)


def test_a_copy_of_a_text_is_not_another_negative() -> None:
    """Copies of a far-away pair leave the predicted→target half of the other rows as it was."""
    p, t = pair(4)
    copies = [0, 1, 2, 3, 3, 3]
    logits = (F.normalize(p, dim=-1) @ F.normalize(t, dim=-1).T) / 0.07
    forward = logits.logsumexp(1) - logits.diagonal()  # with each text once
    backward = logits[copies].T[:3].logsumexp(1) - logits.diagonal()[:3]  # with every prediction
    own = logits.T[3].logsumexp(0) - logits[3, 3]  # the copies exclude each other
    want = (forward[copies].sum() + backward.sum() + 3 * own) / 12
    got = InfoNCE()(p[copies], t[copies], torch.tensor(copies))[0]
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)


def test_distinct_targets_make_the_softmax_the_posterior() -> None:
    """Nothing to see in the video, text a three times as frequent as b: odds of 3 must be the optimum."""
    group = torch.tensor([0, 0, 0, 1])
    blind = torch.tensor([[1.0, 0.0]]).expand(4, 2).double()

    def best_odds(loss: Callable[[Tensor], Tensor]) -> float:
        found = []
        for gap in torch.linspace(-1.6, 1.6, 321, dtype=torch.float64):
            cos = torch.stack((gap / 2, -gap / 2))
            texts = torch.stack((cos, (1 - cos.square()).sqrt()), dim=1)
            found.append((loss(texts[group]).item(), gap.item()))
        return math.exp(min(found)[1])

    posterior = InfoNCE(temperature=1.0)
    halfway = InfoNCE(temperature=1.0, distinct_targets=False)
    assert best_odds(lambda t: posterior(blind, t, group)[0]) == pytest.approx(3, rel=0.01)
    assert best_odds(lambda t: halfway(blind, t, group)[0]) == pytest.approx(1 + math.sqrt(2), rel=0.01)
    # pointwise mutual information is 0 for both texts: a video that says nothing prefers neither
    assert best_odds(lambda t: ClipLoss()(blind, t, 1.0)) == pytest.approx(1, rel=0.01)


def test_orthogonal_pairs_have_their_closed_form() -> None:
    rows, scale = 6, 1 / 0.5
    eye = torch.eye(rows)
    loss, logged = InfoNCE(temperature=0.5)(eye, eye, torch.arange(rows))
    assert loss.item() == pytest.approx(math.log1p((rows - 1) * math.exp(-scale)), rel=1e-6)
    assert logged["in_batch_recall"] == 1


def test_equal_embeddings_cost_ln_b() -> None:
    ones = torch.ones(5, 3)
    loss, logged = InfoNCE()(ones, ones, torch.arange(5))
    assert loss.item() == pytest.approx(math.log(5), rel=1e-6)
    assert logged["ln_b"].item() == pytest.approx(math.log(5), rel=1e-6)


@pytest.mark.parametrize("distinct", [True, False])
def test_the_ln_b_line_is_the_collapsed_loss_with_repeats_too(distinct: bool) -> None:
    ones = torch.ones(7, 3)
    loss, logged = InfoNCE(distinct_targets=distinct)(ones, ones, REPEATED)
    torch.testing.assert_close(loss, logged["ln_b"])


def test_a_batch_of_one_group_has_nothing_to_learn_and_says_zero() -> None:
    p, t = (x.requires_grad_() for x in pair(3))
    loss, logged = InfoNCE()(p, t, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert logged["ln_b"].item() == 0
    assert p.grad is not None
    assert p.grad.abs().max() == 0


def test_recall_counts_any_target_of_the_own_group_as_found() -> None:
    predicted = torch.eye(4)
    target = torch.eye(4)[[1, 0, 3, 2]]  # each prediction finds its neighbour's target
    assert InfoNCE()(predicted, target, torch.tensor([0, 0, 1, 2]))[1]["in_batch_recall"] == 0.5


@pytest.mark.parametrize("distinct", [True, False])
def test_gradients_of_inputs_and_temperature(distinct: bool) -> None:
    loss = InfoNCE(temperature=0.5, distinct_targets=distinct).double()
    p, t = (x.requires_grad_() for x in pair())
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda a, b, s: functional_call(loss, {"log_scale": s.clone()}, (a, b, REPEATED))[0], (p, t, scale)
    )


def test_the_scale_stops_at_100_and_can_come_back() -> None:
    loss = InfoNCE(temperature=0.01)
    with torch.no_grad():
        loss.log_scale.add_(1)
    value, logged = loss(*(x.float() for x in pair()), torch.arange(7))
    value.backward()
    assert logged["temperature"].item() == pytest.approx(0.01, rel=1e-5)
    assert loss.log_scale.grad is not None
    assert loss.log_scale.grad.abs() > 0


def test_a_fixed_temperature_is_no_parameter_and_stays() -> None:
    loss = InfoNCE(temperature=0.1, learnable=False)
    assert list(loss.parameters()) == []
    assert loss(*pair(), torch.arange(7))[1]["temperature"].item() == pytest.approx(0.1)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.001, float("nan")])
def test_a_temperature_that_would_overflow_is_refused(temperature: float) -> None:
    with pytest.raises(RecipeError, match=r"loss\.temperature must be at least 0\.01"):
        InfoNCE(temperature=temperature)


def test_an_empty_chunk_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"loss\.chunk must be 1 or more"):
        InfoNCE(chunk=0)
