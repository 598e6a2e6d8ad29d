"""A decoder given to a model speaks, is refused where it does not belong, and travels with an export."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from jepa_vl.decoders.nearest import NearestText
from jepa_vl.decoders.prefix_lm import PrefixLM
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.use import Model, load
from jepa_vl.use.export import RECIPE, WEIGHTS
from jepa_vl.use.identity import identity

Write = Callable[..., Path]


@pytest.fixture
def videos(write_video: Write, tmp_path: Path) -> list[Path]:
    return [write_video(tmp_path / "v" / f"{seed}.mp4", seed=seed) for seed in range(6)]


def said(model: Model, videos: list[Path], **options: Any) -> list[str]:
    texts = model.caption(videos, **options)
    assert all(isinstance(text, str) for text in texts)
    return list(texts)


def test_a_run_without_a_decoder_says_what_the_decoder_of_a_run_makes_of_its_embeddings(
    mute_run: Path, decoder_run: Path, videos: list[Path]
) -> None:
    with pytest.raises(UserError, match="cannot generate"):
        load(mute_run, device="cpu").caption(videos[0])
    model = load(mute_run, decoder=decoder_run, device="cpu")
    alone = PrefixLM(weights=str(decoder_run), max_new_tokens=5)
    assert said(model, videos) == alone.decode(model.embed_video(videos))
    assert any(said(model, videos))
    by_file = load(
        mute_run / "checkpoints" / "best.ckpt",
        decoder=str(decoder_run / "checkpoints" / "best.ckpt"),
        device="cpu",
    )
    assert said(by_file, videos) == said(model, videos)


def test_a_given_decoder_takes_the_place_of_the_models_own_and_changes_no_embedding(
    run: Path, mute_run: Path, decoder_run: Path, videos: list[Path]
) -> None:
    model = load(run, decoder=decoder_run, device="cpu")
    assert isinstance(model.objective.decoder, PrefixLM)
    own = load(run, device="cpu")
    assert isinstance(own.objective.decoder, NearestText)
    assert torch.equal(model.embed_video(videos), own.embed_video(videos))
    assert identity(model) == identity(own)


def test_the_longest_text_reaches_the_decoder_and_none_is_its_own(
    mute_run: Path, decoder_run: Path, videos: list[Path]
) -> None:
    model = load(mute_run, decoder=decoder_run, device="cpu")
    decoder = model.objective.decoder
    assert isinstance(decoder, PrefixLM)
    assert decoder.max_new_tokens == 5  # as its run was told, not the class's default
    embeddings = model.embed_video(videos)
    for longest in (1, 2, 9):
        other = PrefixLM(weights=str(decoder_run), max_new_tokens=longest)
        assert said(model, videos, max_new_tokens=longest) == other.decode(embeddings)
    assert said(model, videos, max_new_tokens=5) == said(model, videos)
    assert said(model, videos, max_new_tokens=1) != said(model, videos)
    with pytest.raises(UserError, match="max_new_tokens must be at least 1, found 0"):
        model.caption(videos[0], max_new_tokens=0)


def test_nearest_says_the_texts_it_is_given_and_says_when_it_has_none(
    mute_run: Path, videos: list[Path]
) -> None:
    model = load(mute_run, decoder="nearest", device="cpu")
    with pytest.raises(UserError, match=r"empty bank: give the texts that it chooses from \(texts="):
        model.caption(videos[0])
    texts = ["a red thing", "a blue thing", "no"]
    best = (model.embed_video(videos) @ model.embed_text(texts).T).argmax(dim=1).tolist()
    assert said(model, videos, texts=texts) == [texts[i] for i in best]


@pytest.mark.parametrize("named", ["given", "in the recipe"])
def test_an_export_says_the_same_with_every_run_gone(
    named: str, mute_run: Path, decoder_run: Path, videos: list[Path], tmp_path: Path
) -> None:
    model_run, speaker = tmp_path / "runs" / "mute", tmp_path / "runs" / "decoder"
    shutil.copytree(mute_run, model_run)
    shutil.copytree(decoder_run, speaker)
    if named == "given":
        model = load(model_run, decoder=speaker, device="cpu")
    else:
        part = {"class_path": "jepa_vl.decoders.prefix_lm.PrefixLM"}
        part |= {"init_args": {"weights": str(speaker), "beams": 2}}  # type: ignore[dict-item]
        rewrite(model_run / "checkpoints" / "best.ckpt", decoder=part)
        model = load(model_run, device="cpu")
    before, embeddings = said(model, videos), model.embed_video(videos)
    model.save_pretrained(tmp_path / "exported")
    shutil.rmtree(tmp_path / "runs")
    assert str(tmp_path) not in (tmp_path / "exported" / RECIPE).read_text()
    moved = (tmp_path / "exported").rename(tmp_path / "elsewhere")
    again = load(moved, device="cpu")
    assert said(again, videos) == before
    assert torch.equal(again.embed_video(videos), embeddings)
    decoder = again.objective.decoder
    assert isinstance(decoder, PrefixLM)
    assert not any(p.requires_grad for p in decoder.parameters())
    assert decoder.beams == (1 if named == "given" else 2)
    again.save_pretrained(tmp_path / "once more")
    assert said(load(tmp_path / "once more", device="cpu"), videos) == before


def rewrite(checkpoint: Path, **arguments: Any) -> None:
    """Change arguments of the objective in a checkpoint's recipe."""
    content = torch.load(checkpoint, weights_only=True)
    recipe = yaml.safe_load(content["jepa_vl"]["recipe"])
    recipe["objective"]["init_args"] |= arguments
    content["jepa_vl"]["recipe"] = yaml.safe_dump(recipe)
    torch.save(content, checkpoint)


def test_an_export_refers_to_the_frozen_words_of_the_decoders_language_model(
    mute_run: Path, decoder_run: Path, tmp_path: Path
) -> None:
    model = load(mute_run, decoder=decoder_run, device="cpu")
    model.save_pretrained(tmp_path / "m")
    held = {n.removeprefix("decoder.") for n in load_file(tmp_path / "m" / WEIGHTS) if "decoder." in n}
    learned = {n for n, p in PrefixLM(weights=str(decoder_run)).named_parameters() if "norm" not in n}
    words = "language_model.embedding.table.weight"
    assert learned - held == {words}
    assert "space" in held


def test_the_bank_of_nearest_is_exported_and_another_decoder_may_take_its_place(
    mute_run: Path, decoder_run: Path, videos: list[Path], tmp_path: Path
) -> None:
    model = load(mute_run, decoder="nearest", device="cpu")
    model.tell_texts(["a red thing", "a blue thing"])
    model.save_pretrained(tmp_path / "m")
    assert said(load(tmp_path / "m", device="cpu"), videos) == said(model, videos)
    speaking = load(tmp_path / "m", decoder=decoder_run, device="cpu")
    assert said(speaking, videos) == said(load(mute_run, decoder=decoder_run, device="cpu"), videos)
    speaking.save_pretrained(tmp_path / "speaking")
    assert said(load(tmp_path / "speaking", device="cpu"), videos) == said(speaking, videos)
    emptied = load(tmp_path / "speaking", decoder="nearest", device="cpu")
    assert said(emptied, videos, texts=["yes"]) == ["yes"] * len(videos)


def test_an_export_without_a_decoder_takes_one(mute_run: Path, decoder_run: Path, tmp_path: Path) -> None:
    load(mute_run, device="cpu").save_pretrained(tmp_path / "m")
    assert "generate" not in load(tmp_path / "m", device="cpu").abilities
    assert "generate" in load(tmp_path / "m", decoder=decoder_run, device="cpu").abilities


def test_a_decoder_of_another_space_is_refused_when_it_is_given(
    mute_run: Path, decoder_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "decoder"
    shutil.copytree(decoder_run, other)
    file = other / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["state_dict"]["decoder.space"] = content["state_dict"]["decoder.space"].flip(0)
    torch.save(content, file)
    with pytest.raises(UserError, match=r"of .*decoder was trained for another text encoder.*cosine"):
        load(mute_run, decoder=other, device="cpu")


def test_a_model_that_takes_no_decoder_is_said_so(token_run: Path, decoder_run: Path) -> None:
    for decoder in (decoder_run, "nearest"):
        with pytest.raises(RecipeError, match="the model is a TokenObjective, which says its texts itself"):
            load(token_run, decoder=decoder, device="cpu")
    with pytest.raises(RecipeError, match="the model is a DecoderObjective"):
        load(decoder_run, decoder="nearest", device="cpu")


def test_what_is_no_decoder_is_refused_by_what_it_is(
    mute_run: Path, decoder_run: Path, token_run: Path, tmp_path: Path
) -> None:
    cases: dict[str | Path, str] = {
        mute_run: r"decoder .*best\.ckpt is of a run of JEPAObjective, which trained no decoder",
        token_run: "is of a run of TokenObjective, which trained no decoder",
        tmp_path: r"has no best checkpoint.*recipes/decoder\.yaml",
        decoder_run.parent / "decodr": r"there is no decoder '.*decodr'; did you mean '.*/decoder'\?",
        "neares": "did you mean 'nearest'",
        "prefix_lm": "decoder prefix_lm must be trained: give the folder of its run",
    }
    for decoder, complaint in cases.items():
        with pytest.raises(RecipeError, match=complaint):
            load(mute_run, decoder=decoder, device="cpu")


def test_a_decoder_run_is_exported_with_its_model_only(decoder_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export it with the model that it was trained for"):
        load(decoder_run, device="cpu").save_pretrained(tmp_path / "m")


def test_a_recipe_is_not_changed_by_the_decoder_that_is_given(
    jepa_recipe: dict[str, Any], decoder_run: Path
) -> None:
    from jepa_vl.decoders.given import standalone, with_decoder

    before = copy.deepcopy(jepa_recipe)
    spoken = with_decoder(jepa_recipe, decoder_run)
    weights = copy.deepcopy(spoken)
    assert "weights" not in str(standalone(spoken))
    assert (jepa_recipe, spoken) == (before, weights)
    assert standalone(jepa_recipe) is jepa_recipe
