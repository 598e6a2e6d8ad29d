"""A model in hand answers as the data module and the tasks do, and says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import write_manifest
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.classification import ClassificationTask
from jepa_vl.use import Model, Stretch

QUERY = "what colour is it?"
LABELS = ["red", "green", "blue"]
TEMPLATES = ("{}", "a {} thing")


def module_batch(model: Model, folder: Path, video: Path) -> tuple[ManifestData, Batch]:
    """The batch that the data module makes of a stretch of the video and of all of it."""
    samples = [
        Sample(
            id="a", media=str(video), start=0.5, end=1.5, query=QUERY, target="x", label="red", split="test"
        ),
        Sample(id="b", media=str(video), query=QUERY, target="y", label="blue", split="test"),
    ]
    write_manifest(folder / "all.jsonl", samples)
    data = ManifestData(
        manifest=str(folder / "all.jsonl"), cache_features=False, val_split=None, single_frame_baseline=False
    )
    data.attach(model.objective)
    data.prepare_data()
    data.setup("test")
    loaders = data.test_dataloader()
    return data, next(iter(loaders[0] if isinstance(loaders, list) else loaders))


@torch.inference_mode()
def test_embeddings_equal_those_of_the_data_module(model: Model, video: Path, tmp_path: Path) -> None:
    _, batch = module_batch(model, tmp_path, video)
    expected = model.objective.embed_video(batch)
    embedded = model.embed_video([Stretch(video, 0.5, 1.5), video], QUERY)
    torch.testing.assert_close(embedded, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.embed_video(video, QUERY), expected[1], rtol=0, atol=1e-6)
    assert (model.embed_video(video) - expected[1]).abs().max() > 1e-4  # the query does matter


@pytest.mark.parametrize("which", ["model", "token_model"])
@torch.inference_mode()
def test_classes_are_those_of_the_classification_task(
    which: str, video: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(which)
    data, batch = module_batch(model, tmp_path, video)
    task = ClassificationTask(templates=TEMPLATES)
    task.bind(data.sample_set("test"), labels=LABELS, train=[])
    task.update(
        model.objective, batch, model.objective.embed_video(batch) if EMBED in model.abilities else None
    )
    task.compute()
    found = model.classify([Stretch(video, 0.5, 1.5), video], LABELS, templates=TEMPLATES, query=QUERY)
    assert [matches[0].text for matches in found] == [example.predicted for example in task.examples()]


def test_a_batch_of_one_answers_as_a_batch_of_many(model: Model, video: Path) -> None:
    several = model.embed_video([video] * 5)
    one = Model(model.objective, batch_size=2, device="cpu").embed_video([video] * 5)
    torch.testing.assert_close(several, one, rtol=0, atol=1e-6)
    assert several.shape == (5, 16)
    assert model.embed_video(video).shape == (16,)


@pytest.mark.parametrize("which", ["model", "token_model"])
def test_every_candidate_is_ranked_by_its_score(
    which: str, video: Path, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(which)
    matches = model.answer(video, "what is it?", ["a", "bc", "d"])
    assert sorted(match.text for match in matches) == ["a", "bc", "d"]
    assert [m.score for m in matches] == sorted((m.score for m in matches), reverse=True)
    assert all(["a", "bc", "d"][m.position] == m.text for m in matches)


def test_both_kinds_say_something(model: Model, token_model: Model, video: Path) -> None:
    assert model.caption(video, texts=["a red thing", "a blue thing"]) in ("a red thing", "a blue thing")
    assert len(model.caption([video, video])) == 2
    assert isinstance(token_model.caption(video, max_new_tokens=3), str)


def test_search_ranks_videos_by_their_cosine(model: Model, video: Path) -> None:
    pieces = [Stretch(video, i / 2, (i + 1) / 2) for i in range(4)]
    embeddings = model.embed_video(pieces)
    hits = model.search(pieces, "red", top=3)
    cosine = (embeddings @ model.embed_text("red")).numpy()
    assert [hit.position for hit in hits] == np.argsort(-cosine, kind="stable")[:3].tolist()
    assert [hit.position for hit in model.search(embeddings, "red", top=3)] == [h.position for h in hits]


def test_what_is_missing_is_named(model: Model, token_model: Model, video: Path) -> None:
    with pytest.raises(UserError, match="TokenObjective cannot embed"):
        token_model.embed_video(video)
    with pytest.raises(UserError, match="TokenObjective cannot embed"):
        token_model.search([video], "red")
    without = Model(model.objective, device="cpu")
    whole = model.objective.abilities
    model.objective.abilities = frozenset({EMBED})
    try:
        with pytest.raises(UserError, match="give it a decoder, if it is of the objective `jepa`"):
            without.caption(video)
    finally:
        model.objective.abilities = whole


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (["a", "b", "a"], "label 'a' occurs more than once"),
        (["a", " "], "label 2 of 2 is blank"),
        ([], "no label to choose from"),
        ("abc", "must be a list"),
    ],
)
def test_labels_that_cannot_be_chosen_from_are_refused(
    model: Model, video: Path, labels: list[str], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        model.classify(video, labels)


def test_an_empty_gallery_and_another_models_embeddings_are_refused(model: Model) -> None:
    with pytest.raises(UserError, match="no video to search"):
        model.search(torch.zeros(0, 16), "red")
    with pytest.raises(UserError, match="8-d, those of this model 16-d"):
        model.search(torch.zeros(2, 8), "red")


def test_non_english_and_very_long_texts_are_embedded(model: Model) -> None:
    embeddings = model.embed_text(["дверь открыта", "門が開く", "word " * 5000])
    assert embeddings.shape == (3, 16)
    assert embeddings.isfinite().all()
