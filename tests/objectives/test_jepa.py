from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.decoders.nearest import NearestText
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.losses.frozen_target import CosineLoss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.text.hf_text import HFText


@torch.no_grad()
def test_embeddings_are_unit_vectors_and_do_not_depend_on_the_batch(jepa, batch_of):
    objective = jepa().eval()
    whole = objective.embed_video(batch_of(objective))
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(4))
    first = objective.embed_video(batch_of(objective, targets=["open the blue door"]))
    torch.testing.assert_close(whole[:1], first, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_texts_are_embedded_in_their_own_order_each_once(jepa):
    objective = jepa().eval()
    texts = ["a longer text", "key", "b", "key", ""]
    together = objective.embed_text(texts)
    alone = torch.cat([objective.embed_text([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert objective.embed_text([]).shape == (0, 16)


@torch.no_grad()
def test_scores_are_cosines_shared_list_or_own_lists(jepa, batch_of):
    objective = jepa().eval()
    batch = batch_of(objective)
    shared = ["red", "blue", "a longer text"]
    fast = objective.score(batch, [shared] * 4)
    slow = objective.score(batch, [list(shared) for _ in range(4)])
    torch.testing.assert_close(torch.stack(fast), torch.stack(slow), atol=1e-6, rtol=1e-5)
    want = F.cosine_similarity(
        objective.embed_video(batch)[:, None], objective.embed_text(shared)[None], dim=-1
    )
    torch.testing.assert_close(torch.stack(fast), want, atol=1e-6, rtol=1e-5)
    own = objective.score(batch, [["a"], ["b", "c"], [], ["d"]])
    assert [len(scores) for scores in own] == [1, 2, 0, 1]


def test_it_decodes_only_with_a_decoder(jepa, batch_of):
    objective = jepa().eval()
    assert objective.abilities == {"embed", "score"}
    with pytest.raises(UserError, match="cannot generate; it can: embed, score"):
        objective.generate(batch_of(objective))
    with pytest.raises(UserError, match="cannot decode; it can: embed, score"):
        objective.decode(objective.embed_text(["red"]))
    decoder = NearestText()
    objective = jepa(decoder=decoder).eval()
    texts = ["red", "no", "key"]
    with torch.no_grad():
        decoder.set_bank(texts, objective.embed_text(texts))
        said = objective.generate(batch_of(objective))
        best = [texts[int(s.argmax())] for s in objective.score(batch_of(objective), [texts] * 4)]
        assert objective.decode(objective.embed_text(texts)) == texts
    assert objective.abilities == {"embed", "score", "generate", "decode"}
    assert said == best


def test_a_loss_without_a_term_against_collapse_needs_a_frozen_target(jepa, tiny_bert):
    for encoder in (HFText(model=tiny_bert), HFText(model=tiny_bert, freeze=True, head="linear")):
        with pytest.raises(RecipeError, match=r"objective\.loss CosineLoss.*objective\.text_encoder HFText"):
            jepa(loss=CosineLoss(), text_encoder=encoder)
    jepa(loss=CosineLoss(), text_encoder=HFText(model=tiny_bert, freeze=True, head="none"), embed_dim=32)


def test_every_trainable_parameter_learns_at_its_own_rate_and_frozen_ones_do_not(jepa, tiny_bert):
    objective = jepa(text_encoder=HFText(model=tiny_bert, lr_multiplier=0.05))
    parts = list(objective.learning_parts())
    listed = [id(p) for _, _, parameters in parts for p in parameters]
    assert sorted(listed) == sorted(id(p) for p in objective.parameters() if p.requires_grad)
    multipliers = {name: multiplier for name, multiplier, _ in parts}
    assert multipliers["text_encoder × 0.05"] == 0.05
    assert multipliers["text_encoder"] == multipliers["predictor"] == multipliers["loss"] == 1.0
    assert not any(name.startswith("vision_encoder") for name in multipliers)


def test_the_gradient_reaches_predictor_and_text_encoder_but_no_frozen_part(jepa, batch_of, tiny_bert):
    """Section 2: both sides learn together; there is no stop-gradient."""
    objective = jepa(text_encoder=HFText(model=tiny_bert))
    batch = batch_of(objective)
    predicted = objective.predictor(objective.visual_tokens(batch), batch.query)
    objective.loss(predicted, objective.text_encoder(batch.target), batch.group)[0].backward()
    for name, parameter in objective.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_a_batch_of_one_says_what_to_change(jepa, batch_of, fit):
    with pytest.raises(UserError, match=r"InfoNCE.*at least 2.*data\.batch_size"):
        fit(jepa(loss=InfoNCE()), batch_of, steps=1, targets=["red"])


def test_a_text_encoder_at_the_full_rate_is_one_part(jepa, tiny_bert):
    objective = jepa(text_encoder=HFText(model=tiny_bert, lr_multiplier=1.0))
    names = [name for name, _, _ in objective.learning_parts()]
    assert len(names) == len(set(names))
    assert "text_encoder" in names
    learning = {id(p) for _, _, parameters in objective.learning_parts() for p in parameters}
    assert learning == {id(p) for p in objective.parameters() if p.requires_grad}
