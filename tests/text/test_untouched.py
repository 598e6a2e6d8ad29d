"""What a text encoder was before training, told after it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from jepa_vl.text import hf_text
from jepa_vl.text.hf_text import HFText

TEXTS = ["a red ball", "key", "a red ball", "open the blue door"]


def built(model, **arguments):
    encoder = HFText(model=model, **arguments)
    encoder.connect(embed_dim=8)
    return encoder


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "model"])
def test_it_is_the_pretrained_model_whatever_was_learned(tiny_bert, pooling, freeze):
    plain = HFText(model=tiny_bert, pooling=pooling, prompt="say ", head="none")
    plain.connect(embed_dim=32)
    want = normalize(plain.eval()(plain.tokenizer(TEXTS)), dim=-1).detach()
    encoder = built(tiny_bert, pooling=pooling, prompt="say ", freeze=freeze)
    with torch.no_grad():
        for p in encoder.parameters():  # a frozen backbone too may come from a checkpoint
            p.add_(1.0)
    got = encoder.untouched(TEXTS)
    assert not got.requires_grad
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_the_encoder_itself_stays_as_trained(tiny_bert):
    encoder = built(tiny_bert)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.untouched(TEXTS)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert encoder.training


def test_weights_are_read_only_for_new_texts(tiny_bert, monkeypatch):
    encoder = built(tiny_bert)
    reads = []
    load = hf_text.load_model
    monkeypatch.setattr(hf_text, "load_model", lambda *a, **k: reads.append(a) or load(*a, **k))
    first = encoder.untouched(TEXTS)
    assert torch.equal(encoder.untouched(TEXTS[::-1]), first.flip(0))
    assert len(reads) == 1
    encoder.untouched([*TEXTS, "another"])
    assert len(reads) == 2


def test_no_random_number_is_drawn(tiny_bert):
    encoder = built(tiny_bert)
    torch.manual_seed(3)
    encoder.untouched(TEXTS)
    got = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(3), got)


def test_no_texts_give_no_rows(tiny_bert):
    assert built(tiny_bert).untouched([]).shape == (0, 32)
