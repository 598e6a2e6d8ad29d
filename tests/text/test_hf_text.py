from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, T5Config, T5EncoderModel

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.layers import checkpoint_layers
from jepa_vl.text.hf_text import HFText

TEXTS = ["a red ball", "key", "a red ball", "open the blue door", "key"]


def built(model, *, embed_dim=8, **arguments):
    encoder = HFText(model=model, **arguments)
    encoder.connect(embed_dim=embed_dim)
    return encoder


def alone(tiny_bert, text, pooling):
    """Token states of one text without padding, pooled by hand."""
    encoder = HFText(model=tiny_bert)
    ids = encoder.tokenizer([text]).ids
    output = AutoModel.from_pretrained(tiny_bert).eval()(input_ids=ids)
    states = output.last_hidden_state[0]
    return {
        "mean": states.mean(0),
        "cls": states[0],
        "last": states[-1],
        "model": output.pooler_output[0],
    }[pooling]


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "model"])
def test_embeddings_equal_each_text_alone_whatever_the_batch(tiny_bert, pooling, freeze):
    encoder = built(tiny_bert, pooling=pooling, freeze=freeze, head="none", embed_dim=32).eval()
    got = encoder(encoder.tokenizer(TEXTS))
    want = torch.stack([alone(tiny_bert, text, pooling) for text in TEXTS])
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_repeated_texts_are_encoded_once_also_when_trained(tiny_bert):
    encoder = built(tiny_bert)
    seen = []
    encoder.backbone.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    encoder(encoder.tokenizer(TEXTS))
    assert seen == [3]


def test_gradients_equal_those_of_encoding_every_row(tiny_bert):
    encoder = built(tiny_bert).eval()
    weights = torch.randn(len(TEXTS), 8)
    (encoder(encoder.tokenizer(TEXTS)) * weights).sum().backward()
    got = encoder.backbone.embeddings.word_embeddings.weight.grad.clone()
    encoder.zero_grad()
    for text, weight in zip(TEXTS, weights, strict=True):
        (encoder(encoder.tokenizer([text]))[0] * weight).sum().backward()
    torch.testing.assert_close(
        got, encoder.backbone.embeddings.word_embeddings.weight.grad, atol=1e-5, rtol=1e-3
    )


def test_a_frozen_backbone_encodes_each_text_once_in_a_run(tiny_bert):
    encoder = built(tiny_bert, freeze=True).train()
    calls = []
    encoder.backbone.register_forward_hook(lambda *_: calls.append(1))
    first = encoder(encoder.tokenizer(TEXTS))
    told = len(calls)
    again = encoder(encoder.tokenizer([*TEXTS, "key"]))
    assert len(calls) == told
    assert torch.equal(first, again[:-1])


def test_a_frozen_embedding_is_the_same_to_the_bit_whatever_it_was_encoded_with(tiny_bert):
    """Else a resumed run, which begins with an empty memory, would differ from an uninterrupted one."""
    texts = [f"text {i} {'x' * (i % 5)}" for i in range(40)]
    one = built(tiny_bert, freeze=True, head="none", embed_dim=32)
    together = one(one.tokenizer(texts))
    two = built(tiny_bert, freeze=True, head="none", embed_dim=32)
    for i in (39, 0, 17):
        assert torch.equal(two(two.tokenizer([texts[i], "something much longer than it"]))[0], together[i])


def test_frozen_weights_have_no_gradient_stay_in_eval_and_are_in_no_group(tiny_bert):
    encoder = built(tiny_bert, freeze=True).train()
    encoder(encoder.tokenizer(TEXTS)).sum().backward()
    assert not encoder.backbone.training
    assert all(p.grad is None for p in encoder.backbone.parameters())
    assert encoder.head.weight.grad is not None
    assert [m for m, _ in encoder.parameter_groups()] == [1.0]


def test_the_memory_is_not_in_the_state_dict(tiny_bert):
    encoder = built(tiny_bert, freeze=True)
    before = set(encoder.state_dict())
    encoder(encoder.tokenizer(TEXTS))
    assert set(encoder.state_dict()) == before


def test_parameter_groups_cover_every_trainable_parameter_once(tiny_bert):
    encoder = built(tiny_bert, lr_multiplier=0.05)
    groups = list(encoder.parameter_groups())
    assert [m for m, _ in groups] == [0.05, 1.0]
    assert [id(p) for p in groups[1][1]] == [id(p) for p in encoder.head.parameters()]
    listed = [id(p) for _, ps in groups for p in ps]
    assert sorted(listed) == sorted(id(p) for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("texts", [[""], ["", "key"], ["", ""]])
def test_an_empty_text_has_a_finite_embedding_and_disturbs_no_other(tiny_bert, texts, freeze):
    encoder = built(tiny_bert, freeze=freeze).eval()
    got = encoder(encoder.tokenizer(texts))
    assert got.shape == (len(texts), 8)
    torch.testing.assert_close(got[0], encoder.head(torch.zeros(32)))
    torch.testing.assert_close(got[-1], encoder(encoder.tokenizer(texts[-1:]))[0], atol=1e-5, rtol=1e-4)


def test_without_a_head_the_shared_space_must_have_the_models_width(tiny_bert):
    with pytest.raises(RecipeError, match=r"text_encoder\.head is none.*embed_dim.* 32; found 8"):
        built(tiny_bert, head="none")


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_heads_lead_to_the_shared_space(tiny_bert, head):
    encoder = built(tiny_bert, head=head)
    assert encoder(encoder.tokenizer(TEXTS)).shape == (5, 8)


@pytest.mark.parametrize(("asked", "got"), [(512, 64), (10, 10)])
def test_the_length_is_at_most_the_models_context(tiny_bert, asked, got):
    tokenizer = HFText(model=tiny_bert, max_length=asked).tokenizer
    assert tokenizer.max_length == got
    text = tokenizer(["x " * 200])
    assert (text.ids.shape[1], text.truncated) == (got, 1)


def test_robertas_positions_begin_after_the_padding_id(tiny_bert, tmp_path):
    tokenizer = HFText(model=tiny_bert).tokenizer.tokenizer
    tokenizer.save_pretrained(tmp_path)
    RobertaModel(
        RobertaConfig(
            vocab_size=300,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=34,
            pad_token_id=1,
        )
    ).save_pretrained(tmp_path)
    encoder = built(str(tmp_path))
    assert encoder.tokenizer.max_length == 32
    assert encoder(encoder.tokenizer(["x " * 100])).shape == (1, 8)


def test_the_encoder_of_an_encoder_decoder_model_is_used(tiny_bert, tmp_path):
    HFText(model=tiny_bert).tokenizer.tokenizer.save_pretrained(tmp_path)
    T5EncoderModel(
        T5Config(vocab_size=300, d_model=16, d_kv=8, num_layers=1, num_heads=2, d_ff=16)
    ).save_pretrained(tmp_path)
    encoder = built(str(tmp_path)).eval()
    both = encoder(encoder.tokenizer(["key", "a longer text"]))
    torch.testing.assert_close(both[:1], encoder(encoder.tokenizer(["key"])), atol=1e-5, rtol=1e-4)


def test_layers_of_a_causal_model_can_be_computed_again_in_the_backward_pass(tiny_llama):
    """A cache of keys and values, which such a model makes by itself, would take each layer's twice."""
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        encoder = built(tiny_llama, pooling="mean").train()
        if again:
            checkpoint_layers(encoder)
        encoder(encoder.tokenizer(["red", "open the blue door"])).square().sum().backward()
        found.append({name: p.grad for name, p in encoder.named_parameters()})
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


def test_a_model_without_pooling_of_its_own_is_refused(tiny_llama):
    encoder = built(tiny_llama, pooling="model")
    with pytest.raises(RecipeError, match="has no pooling; choose mean, cls or last"):
        encoder(encoder.tokenizer(["key"]))


def test_a_prompt_stands_before_every_text(tiny_bert):
    plain = built(tiny_bert, head="none", embed_dim=32).eval()
    prompted = built(tiny_bert, prompt="say ", head="none", embed_dim=32).eval()
    torch.testing.assert_close(prompted(prompted.tokenizer(["key"])), plain(plain.tokenizer(["say key"])))


@pytest.mark.parametrize(("dropout", "same"), [(0.0, True), (0.3, False), (None, False)])
def test_a_trained_text_is_the_same_target_each_time_without_dropout(tiny_bert, tmp_path, dropout, same):
    model = AutoModel.from_pretrained(tiny_bert)
    model.config.hidden_dropout_prob = 0.1  # its own
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    encoder = built(str(tmp_path), dropout=dropout).train()
    tokens = encoder.tokenizer(TEXTS)
    assert torch.allclose(encoder(tokens), encoder(tokens)) == same


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_that_is_no_share_is_refused(tiny_bert, dropout):
    with pytest.raises(RecipeError, match="at least 0 and below 1"):
        HFText(model=tiny_bert, dropout=dropout)
