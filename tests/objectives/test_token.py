from __future__ import annotations

import pytest
import torch

from jepa_vl.errors import UserError
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.objectives.token import TokenObjective

CANDIDATES = ["red", "a blue key", "no"]


def slow_log_probability(objective, item_batch, text):
    """One sample, one text, nothing padded, no cache: log-probabilities of the text's tokens."""
    lm = objective.language_model
    ids = lm.target_tokenizer([text]).ids
    query = item_batch.query.ids[:, : int(item_batch.query.mask.sum())]
    visual = objective.visual_projection(objective.visual_tokens(item_batch))
    x = torch.cat((visual, lm.embed(query), lm.embed(ids)), dim=1)
    states, _ = lm(x, torch.ones(x.shape[:2], dtype=torch.bool))
    logp = lm.logits(states)[0].log_softmax(-1)
    start = x.shape[1] - ids.shape[1] - 1
    return torch.stack([logp[start + i, token] for i, token in enumerate(ids[0])])


def one_by_one(batch):
    """Batches of one sample each."""
    for i in range(len(batch)):
        yield type(batch)(
            samples=batch.samples[i : i + 1],
            index=batch.index[i : i + 1],
            group=batch.group[i : i + 1],
            query=type(batch.query)(batch.query.ids[i : i + 1], batch.query.mask[i : i + 1]),
            target=type(batch.query)(batch.target.ids[i : i + 1], batch.target.mask[i : i + 1]),
            video=batch.video[i : i + 1],
        )


def each(objective, batch):
    """What every target token costs, without a gradient."""
    return objective._target_losses(batch)[1].each


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_target_tokens_only(any_token, batch_of):
    batch = batch_of(any_token.eval())
    logp = [slow_log_probability(any_token, one, one.samples[0].target) for one in one_by_one(batch)]
    torch.testing.assert_close(each(any_token, batch), -torch.cat(logp), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_score_equals_the_mean_of_each_candidate_alone_without_a_cache(any_token, batch_of):
    batch = batch_of(any_token.eval())
    lists = [CANDIDATES, CANDIDATES[:1], [], ["door", *CANDIDATES]]
    got = any_token.score(batch, lists)
    for scores, one, texts in zip(got, one_by_one(batch), lists, strict=True):
        want = [slow_log_probability(any_token, one, text).mean() for text in texts]
        torch.testing.assert_close(scores, torch.tensor(want), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_shared_list_scores_as_lists_of_its_own(any_token, batch_of):
    batch = batch_of(any_token.eval())
    shared = any_token.score(batch, [CANDIDATES] * 4)
    own = any_token.score(batch, [list(CANDIDATES) for _ in range(4)])
    assert torch.equal(torch.stack(shared), torch.stack(own))


@torch.no_grad()
def test_generation_does_not_depend_on_the_batch(any_token, batch_of):
    batch = batch_of(any_token.eval())
    together = any_token.generate(batch, max_new_tokens=6)
    alone = [any_token.generate(one, max_new_tokens=6)[0] for one in one_by_one(batch)]
    assert together == alone


def test_the_query_and_the_video_matter(any_token, batch_of):
    with torch.no_grad():
        batch = batch_of(any_token.eval())
        before = torch.stack(any_token.score(batch, [CANDIDATES] * 4))
        batch.query.ids[1, 0] += 1
        batch.video[2] = 255 - batch.video[2]
        changed = (torch.stack(any_token.score(batch, [CANDIDATES] * 4)) - before).abs().sum(1) > 1e-6
    assert changed.tolist() == [False, True, True, False]


def test_a_later_target_token_never_changes_an_earlier_prediction(any_token, batch_of):
    with torch.no_grad():
        batch = batch_of(any_token.eval())
        before = each(any_token, batch)[: int(batch.target.mask[0].sum())]
        batch.target.ids[0, 3] += 1
        after = each(any_token, batch)[: int(batch.target.mask[0].sum())]
    assert torch.equal(before[:3], after[:3])
    assert (before[3:5] != after[3:5]).all()


def test_logits_are_compared_in_float32_under_autocast(any_token, batch_of):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        loss, losses = any_token._target_losses(batch_of(any_token))
        assert loss.dtype == losses.each.dtype == torch.float32


def test_it_cannot_embed(any_token, batch_of):
    assert any_token.abilities == {"score", "generate"}
    with pytest.raises(UserError, match="cannot embed; it can: generate, score"):
        any_token.embed_video(batch_of(any_token))


def test_every_trainable_parameter_has_a_gradient_even_without_queries(any_token, batch_of):
    for queries in (["", ""], ["what?", ""]):
        any_token.zero_grad()
        any_token._target_losses(batch_of(any_token, queries=queries))[0].backward()
        assert not [n for n, p in any_token.named_parameters() if p.requires_grad and p.grad is None]


def test_at_full_size_the_twin_is_the_whole_language_model(patches):
    """Section 4.5: all 16 layers of Llama-3.2-1B, 1.24 billion parameters with tied embeddings."""
    with torch.device("meta"):
        whole = HFCausalLM(model="meta-llama/Llama-3.2-1B")
        objective = TokenObjective(vision_encoder=patches(), language_model=whole)
    count = sum(p.numel() for p in objective.language_model.parameters())
    assert count == pytest.approx(1.236e9, rel=0.001)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary(any_token, batch_of, monkeypatch):
    monkeypatch.setattr(any_token.language_model, "head", lambda: None)
    monkeypatch.setattr(any_token.language_model, "logits", lambda states: torch.zeros(len(states), 300))
    losses = each(any_token, batch_of(any_token))
    torch.testing.assert_close(losses, torch.full_like(losses, 300.0).log())
    assert len(losses) == int(batch_of(any_token).target.mask.sum())


def loss_and_gradients(objective, batch):
    objective.zero_grad()
    loss, _ = objective._target_losses(batch)
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in objective.named_parameters() if p.grad is not None}


def test_without_the_padding_between_query_and_target_all_is_as_with_it(any_token, batch_of, monkeypatch):
    """A question with a short answer beside a caption: the sequence is as long as its longest row."""
    texts = {"queries": ["what colour is the ball?", ""], "targets": ["no", "open the blue door again"]}
    batch = batch_of(any_token, **texts)
    seen = []
    forward = any_token.language_model.forward
    monkeypatch.setattr(
        any_token.language_model, "forward", lambda x, mask: seen.append(x.shape[1]) or forward(x, mask)
    )
    got = loss_and_gradients(any_token, batch)
    batch.longest_text = None
    want = loss_and_gradients(any_token, batch)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-4)
    texts_alone = batch.query.mask.sum(1) + batch.target.mask.sum(1)
    assert seen == [
        4 + int(texts_alone.max()) - 1,
        4 + batch.query.ids.shape[1] + batch.target.ids.shape[1] - 1,
    ]
    assert seen[0] < seen[1]


def test_the_loss_in_chunks_trains_as_the_one_over_all_scores(any_token, batch_of, monkeypatch):
    batch = batch_of(any_token)
    got = loss_and_gradients(any_token, batch)
    monkeypatch.setattr(any_token.language_model, "head", lambda: None)
    torch.testing.assert_close(got, loss_and_gradients(any_token, batch), atol=1e-6, rtol=1e-4)
