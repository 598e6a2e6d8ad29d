"""The objective `decoder`, and a JEPA objective that uses what it trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from jepa_vl.decoders import space as space_module
from jepa_vl.decoders.nearest import NearestText
from jepa_vl.decoders.prefix_lm import PrefixLM
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.objectives.decoder import DecoderObjective, add_noise
from jepa_vl.objectives.jepa import distinct_targets
from jepa_vl.sample import Item, Sample
from jepa_vl.schedule import OptimizerSettings

TEXTS = ["open the blue door", "red", "no", "pick up the key"]
SETTINGS = OptimizerSettings(lr=3e-3, schedule="constant", warmup_steps=5, weight_decay=0.0)


@pytest.fixture
def model(jepa, monkeypatch):
    """What `model: runs/…` of a recipe leads to: a JEPA objective."""
    objective = jepa().eval()
    monkeypatch.setattr(space_module, "load_objective", lambda path: objective)
    return objective


@pytest.fixture
def decoding(model, tiny_bert):
    def make(**arguments) -> DecoderObjective:
        lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
        decoder = PrefixLM(language_model=lm, prefix_length=2)
        return DecoderObjective(model="runs/x", decoder=decoder, optimizer=SETTINGS, **arguments)

    return make


def texts_batch(objective, texts=TEXTS):
    samples = [Sample(id=str(i), media="clip", target=text) for i, text in enumerate(texts)]
    return objective.collator()([Item(sample, i) for i, sample in enumerate(samples)])


def test_it_learns_to_say_texts_from_their_embeddings(decoding, fit):
    objective = decoding(noise=0.01)
    logged = fit(objective, None, steps=100, log_every=10)
    assert logged["train/token_accuracy"] > 0.99
    objective.eval()
    assert objective.generate(texts_batch(objective)) == TEXTS
    assert objective.decode(objective.embed_text(TEXTS[::-1])) == TEXTS[::-1]


def test_nothing_of_the_text_encoder_is_trained_or_saved_again(decoding):
    objective = decoding()
    assert {name.split(".")[0] for name in objective.state_dict()} == {"decoder"}
    assert {name.split(".")[0] for name, _ in objective.named_parameters()} == {"decoder"}
    assert objective.vision_encoder is None
    assert objective.abilities == {"generate", "decode"}


def test_embeddings_are_the_models_own_and_each_text_is_encoded_once(decoding, model, monkeypatch):
    want = model.embed_text(["red", "no", "red"]).detach()
    objective = decoding()
    asked = []
    real = model.embed_text
    monkeypatch.setattr(model, "embed_text", lambda texts: asked.extend(texts) or real(texts))
    for _ in range(2):
        torch.testing.assert_close(objective.embed_text(["red", "no", "red"]), want, atol=1e-6, rtol=1e-5)
    assert asked == ["red", "no"]


def test_validation_counts_tokens_and_exact_texts(decoding, monkeypatch):
    objective = decoding().eval()
    batch = texts_batch(objective)
    logged = {}
    monkeypatch.setattr(objective, "log_dict", lambda numbers, **_: logged.update(numbers))
    monkeypatch.setattr(objective, "log", lambda name, value, **_: logged.update({name: value}))
    said = ["open the blue door", "blue", "no", ""]
    monkeypatch.setattr(objective.decoder, "decode", lambda embeddings: said)
    with torch.no_grad():
        objective.validation_step(batch, 0)
        each = []  # the loss, one text at a time
        for text in TEXTS:
            alone = texts_batch(objective, [text])
            states = objective.decoder.token_states(objective.embed_text([text]), alone.target)
            logits = objective.decoder.language_model.logits(states)
            each += (-logits.log_softmax(-1)[range(len(logits)), alone.target.ids[0]]).tolist()
    assert logged["val/exact_match"] == 0.5
    assert float(logged["val/loss"]) == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_noise_keeps_unit_norm_and_none_is_none():
    x = torch.nn.functional.normalize(torch.randn(100, 64), dim=1)
    torch.testing.assert_close(add_noise(x, 0.1).norm(dim=1), torch.ones(100))
    assert add_noise(x, 0.0) is x
    mean = float((add_noise(x, 0.1) * x).sum(1).mean())
    assert mean == pytest.approx((1 + 0.01 * 64) ** -0.5, abs=0.02)


def test_what_cannot_be_trained_or_decoded_is_refused(decoding, model, tiny_bert):
    with pytest.raises(RecipeError, match=r"objective\.decoder NearestText has nothing to train"):
        DecoderObjective(model="runs/x", decoder=NearestText())
    with pytest.raises(RecipeError, match=r"objective\.noise must not be negative, found -1"):
        decoding(noise=-1)
    model.abilities = frozenset({"score", "generate"})
    with pytest.raises(RecipeError, match=r"objective\.model runs/x .*no embeddings to decode"):
        decoding()


def test_a_checkpoint_of_another_text_encoder_is_refused(decoding):
    objective = decoding()
    objective.on_train_start()
    objective.decoder.space.neg_()
    with pytest.raises(UserError, match="another text encoder"):
        objective.on_test_start()


# -- used by a JEPA objective


@pytest.fixture
def trained(decoding):
    """A decoder as `weights` gives it: nothing to train."""
    decoder = decoding().decoder.eval().requires_grad_(False)
    decoder.frozen = True
    return decoder


def test_checkpoints_are_the_same_with_and_without_a_decoder(jepa, trained, tiny_bert):
    without, nearest = jepa().eval(), jepa(decoder=NearestText()).eval()
    speaking = jepa(decoder=trained).eval()
    assert speaking.state_dict().keys() == nearest.state_dict().keys() == without.state_dict().keys()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    for objective in (speaking, nearest, without):
        for source in (without, nearest, speaking):
            objective.load_state_dict(source.state_dict())  # strict
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    with_decoder = without.state_dict() | {"decoder.prefix.weight": torch.zeros(2)}  # of an older version
    without.load_state_dict(with_decoder)
    speaking.load_state_dict(with_decoder)


def test_a_decoder_of_another_text_encoder_is_refused_before_it_speaks(jepa, trained, model):
    same = jepa(decoder=trained).eval()
    same.load_state_dict(model.state_dict() | {}, strict=False)
    same.text_encoder.load_state_dict(model.text_encoder.state_dict())
    assert len(same.decode(same.embed_text(TEXTS))) == 4
    torch.nn.init.normal_(same.text_encoder.head.weight)
    with pytest.raises(UserError, match="another text encoder"):
        same.decode(same.embed_text(TEXTS))
    with pytest.raises(UserError, match="another text encoder"):
        same.on_test_start()


def test_an_untrained_decoder_is_refused(jepa, tiny_bert):
    lm = TransformerLM(dim=32, layers=1, heads=2, model=tiny_bert)
    with pytest.raises(
        RecipeError, match=r"objective\.decoder PrefixLM is not trained.*objective\.decoder\.weights"
    ):
        jepa(decoder=PrefixLM(language_model=lm))


class Data:
    """A data module of one split."""

    def sample_set(self, name):
        if name != "train":
            raise KeyError(f"no split '{name}'; choose from train")
        texts = ["red", "no", "red", ""]
        return SimpleNamespace(
            samples=[Sample(id=str(i), media="m", target=t, kind="window") for i, t in enumerate(texts)]
        )


def test_the_bank_of_nearest_is_the_distinct_targets_of_its_split(jepa):
    objective = jepa(decoder=NearestText()).eval()
    objective._trainer = SimpleNamespace(datamodule=Data())
    for begin in (objective.on_validation_start, objective.on_test_start, objective.on_predict_start):
        objective.decoder.texts = []
        with torch.no_grad():
            begin()
            assert objective.decoder.texts == ["red", "no"]
            assert objective.decode(objective.embed_text(["no", "red"])) == ["no", "red"]


def test_a_split_that_is_not_there_is_named():
    with pytest.raises(RecipeError, match=r"objective\.decoder\.split: no split 'x'; choose from train"):
        distinct_targets(Data(), "x")
