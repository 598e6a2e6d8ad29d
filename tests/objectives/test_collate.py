from __future__ import annotations

import pickle

import torch
from torch.utils.data import DataLoader

from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import Item, Sample


def an_item(index, *, query="", target="red", **media):
    return Item(Sample(id=str(index), media="clip", query=query, target=target), index, **media)


def test_frames_are_stacked_and_texts_tokenised_each_by_its_own(jepa):
    objective = jepa()
    video = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    batch = objective.collator()([an_item(5, video=video, query="what?"), an_item(3, video=video + 1)])
    assert batch.video.shape == (2, 2, 3, 4, 4)
    assert batch.video.dtype == torch.uint8
    assert batch.tokens is None
    assert batch.index.tolist() == [5, 3]
    assert batch.query.ids.tolist() == objective.predictor.tokenizer(["what?", ""]).ids.tolist()
    assert batch.target.ids.tolist() == objective.text_encoder.tokenizer(["red", "red"]).ids.tolist()


def test_equal_targets_are_one_group_and_others_are_not(jepa):
    video = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    texts = ["red", "blue", "red"]
    group = jepa().collator()([an_item(i, video=video, target=t) for i, t in enumerate(texts)]).group
    assert group[0] == group[2] != group[1]


def test_cached_tokens_are_stacked_instead_of_frames(jepa):
    batch = jepa().collator()([an_item(i, tokens=torch.full((4, 12), float(i))) for i in range(3)])
    assert batch.video is None
    assert batch.tokens.shape == (3, 4, 12)


def test_worker_processes_can_collate_for_every_objective(jepa, any_token):
    items = [an_item(i, query="what?", tokens=torch.zeros(4, 12)) for i in range(4)]
    for objective in (jepa(), any_token):
        collate = objective.collator()
        assert isinstance(pickle.loads(pickle.dumps(collate)), Collate)
        loader = DataLoader(items, batch_size=2, collate_fn=collate, num_workers=1)
        assert [len(batch) for batch in loader] == [2, 2]
