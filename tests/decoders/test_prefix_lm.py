from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.decoders import prefix_lm as module
from jepa_vl.decoders.prefix_lm import PrefixLM
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.transformer_lm import TransformerLM

TEXTS = ["a red ball", "no", "open the blue door"]


@torch.no_grad()
def test_states_are_those_of_each_text_alone_behind_its_prefix(prefix_lm):
    x = torch.randn(3, 16)
    lm = prefix_lm.language_model
    target = lm.target_tokenizer(TEXTS)
    got = lm.logits(prefix_lm.token_states(x, target))
    want = []
    for row in range(3):
        ids = target.ids[row, target.mask[row]]
        start = F.linear(F.normalize(x[row], dim=0) * 4, prefix_lm.prefix.weight, prefix_lm.prefix.bias)
        read = torch.cat((start.view(3, 32), lm.embed(ids[None])[0]))[None]
        states, _ = lm(read, torch.ones(read.shape[:2], dtype=torch.bool))
        want.append(lm.logits(states[0, 2:-1]))  # the last position of the prefix predicts the first token
    torch.testing.assert_close(got, torch.cat(want), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_said_depends_neither_on_the_norm_nor_on_the_rows_beside_it(prefix_lm, monkeypatch, beams):
    prefix_lm.beams = beams
    x = torch.randn(7, 16)
    whole = prefix_lm.decode(x)
    assert len(set(whole)) > 1
    assert prefix_lm.decode(5 * x) == whole
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    assert prefix_lm.decode(x) == whole
    assert prefix_lm.decode(x[:0]) == []


def test_freeze_trains_the_prefix_alone(tiny_bert, space):
    lm = TransformerLM(dim=32, layers=1, heads=2, model=tiny_bert)
    decoder = PrefixLM(language_model=lm, freeze=True)
    decoder.connect(space)
    assert {n for n, p in decoder.named_parameters() if p.requires_grad} == {"prefix.weight", "prefix.bias"}
    assert not decoder.train().language_model.training
    target = lm.target_tokenizer(TEXTS)
    decoder.token_states(torch.randn(3, 16), target).square().mean().backward()
    assert decoder.prefix.weight.grad.abs().sum() > 0


def test_a_run_gives_the_same_texts_and_nothing_to_train(prefix_lm, decoder_run):
    run = decoder_run(prefix_lm)
    for weights in (run, run / "checkpoints" / "best.ckpt"):
        loaded = PrefixLM(weights=str(weights), max_new_tokens=6)
        x = torch.randn(5, 16)
        assert loaded.decode(x) == prefix_lm.decode(x)
        assert not any(p.requires_grad for p in loaded.parameters())
        assert not loaded.train().training
    assert PrefixLM(weights=str(run), beams=4).beams == 4


def test_the_space_it_was_trained_in_is_known_again_and_another_refused(prefix_lm, decoder_run, space):
    loaded = PrefixLM(weights=str(decoder_run(prefix_lm)))
    loaded.check_space(lambda texts: space)
    loaded.check_space(lambda texts: space.bfloat16())
    with pytest.raises(
        UserError, match=r"runs/decoder was trained for another text encoder.*cosine -?0\.\d\d"
    ):
        loaded.check_space(lambda texts: torch.randn(len(texts), 16))
    with pytest.raises(UserError, match="trained for 16-d embeddings, and these are 8-d"):
        loaded.check_space(lambda texts: torch.randn(len(texts), 8))
    with pytest.raises(UserError, match="trained for 16-d embeddings, and these are 8-d"):
        loaded.decode(torch.randn(2, 8))


def test_one_moved_probe_is_enough_to_refuse(prefix_lm, space):
    moved = space.clone()
    moved[2] = -moved[2]
    with pytest.raises(UserError, match=r"cosine -1\.00"):
        prefix_lm.check_space(lambda texts: moved)


def test_untrained_it_says_how_to_train(tiny_bert):
    decoder = PrefixLM(language_model=TransformerLM(dim=32, layers=1, heads=2, model=tiny_bert))
    with pytest.raises(UserError, match=r"not trained: train one with .*recipes/decoder\.yaml"):
        decoder.decode(torch.randn(1, 16))


def test_built_by_its_width_it_speaks_once_it_has_its_weights(prefix_lm, tiny_bert, space):
    lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
    built = PrefixLM(language_model=lm, prefix_length=3, embed_dim=16, max_new_tokens=6)
    x = torch.randn(5, 16)
    with pytest.raises(UserError, match="is not trained"):  # a prefix of random weights says nothing
        built.decode(x)
    assert built.frozen
    assert not any(p.requires_grad for p in built.parameters())
    built.load_state_dict(prefix_lm.state_dict())
    assert built.decode(x) == prefix_lm.decode(x)
    built.check_space(lambda texts: space)
    with pytest.raises(RecipeError, match=r"decoder\.weights brings its own width"):
        PrefixLM(weights="runs/decoder", embed_dim=16)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_longest_text_is_that_of_the_call_before_its_own(prefix_lm, beams):
    prefix_lm.beams = beams
    x = torch.randn(7, 16)
    own = prefix_lm.decode(x)
    assert prefix_lm.decode(x, max_new_tokens=6) == own
    short = prefix_lm.decode(x, max_new_tokens=2)
    prefix_lm.max_new_tokens = 2
    assert short == prefix_lm.decode(x) != own


def test_wrong_weights_are_refused_with_what_was_found(tmp_path: Path, tiny_bert):
    with pytest.raises(RecipeError, match=r"decoder\.weights: .*nothing.*recipes/decoder\.yaml"):
        PrefixLM(weights=str(tmp_path / "nothing"))
    stored = {"name": "q", "objective": "JEPAObjective", "recipe": "{}"}
    torch.save({"jepa_vl": stored, "state_dict": {"a": torch.ones(1)}}, tmp_path / "jepa.ckpt")
    with pytest.raises(
        RecipeError, match=r"jepa\.ckpt is of a run of JEPAObjective, which trained no decoder"
    ):
        PrefixLM(weights=str(tmp_path / "jepa.ckpt"))
    lm = TransformerLM(dim=32, layers=1, heads=2, model=tiny_bert)
    with pytest.raises(RecipeError, match=r"decoder\.weights brings its own.*decoder\.language_model"):
        PrefixLM(language_model=lm, weights="runs/decoder")


@pytest.mark.parametrize("name", ["prefix_length", "beams", "max_new_tokens", "embed_dim"])
def test_numbers_below_1_are_refused(name):
    with pytest.raises(RecipeError, match=rf"decoder\.{name} must be at least 1, found 0"):
        PrefixLM(**{name: 0})


def test_a_hugging_face_language_model_learns_through_the_prefix(tiny_llama, space):
    lm = HFCausalLM(model=tiny_llama)
    decoder = PrefixLM(language_model=lm, prefix_length=2)
    decoder.connect(space)
    x, target = torch.randn(3, 16), lm.target_tokenizer(TEXTS)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    for _ in range(60):
        loss = lm.token_losses(decoder.token_states(x, target), target.ids[target.mask]).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for beams in (1, 2):
        decoder.eval().beams = beams
        assert decoder.decode(x) == TEXTS
