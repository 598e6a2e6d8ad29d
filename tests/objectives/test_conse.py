"""ConSE against a loop over frames and classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.conse import ConSESystem
from jepa_vl.sample import Batch, Item, Sample
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing, VisionEncoder

CLASSES = ("cat", "dog", "daisy", "red car", "boat")


class Classifier(VisionEncoder):
    """Class probabilities from the mean colours of a frame."""

    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.class_names = CLASSES
        self.dim, self.grid = len(CLASSES), (3, 1, 1)
        self.preprocessing = Preprocessing(size=(4, 4), num_frames=3)
        self.weight = torch.randn(3, len(CLASSES), generator=torch.Generator().manual_seed(1))

    def forward(self, video: Tensor) -> Tensor:
        return (video.float().mean(dim=(3, 4)) / 20 @ self.weight).softmax(dim=-1)

    def fingerprint(self) -> str:
        return "classifier"


def system(tiny_bert: str, **arguments: int) -> ConSESystem:
    text = HFText(model=tiny_bert, freeze=True, head="none")
    return ConSESystem(vision_encoder=Classifier(), text_encoder=text, embed_dim=32, **arguments)


def batch_of(objective: ConSESystem, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(5)
    return objective.collator()(
        [
            Item(
                Sample(id=str(i), media="clip", target="t"),
                index=i,
                video=torch.randint(0, 256, (3, 3, 4, 4), dtype=torch.uint8, generator=generator),
            )
            for i in range(count)
        ]
    )


@torch.no_grad()
@pytest.mark.parametrize("top", [1, 3, 5])
def test_a_clip_is_the_mean_of_its_frames_convex_combinations(tiny_bert: str, top: int) -> None:
    objective = system(tiny_bert, top=top)
    batch = batch_of(objective)
    names = [objective.embed_text([name])[0] for name in CLASSES]
    for row, probabilities in enumerate(objective.vision_encoder(batch.video)):
        frames = []
        for frame in probabilities.tolist():
            best = sorted(range(len(CLASSES)), key=lambda c: -frame[c])[:top]
            total = sum(frame[c] for c in best)
            frames.append(sum(frame[c] / total * names[c] for c in best))
        wanted = normalize(torch.stack(frames).mean(dim=0), dim=-1)
        assert torch.allclose(objective.embed_video(batch)[row], wanted, atol=1e-5)


@torch.no_grad()
def test_the_name_of_the_only_class_seen_is_the_nearest_text(tiny_bert: str) -> None:
    objective = system(tiny_bert, top=1)
    batch = batch_of(objective, count=1)
    batch.video = batch.video[:, :1].expand(-1, 3, -1, -1, -1)  # one picture, three times
    seen = CLASSES[int(objective.vision_encoder(batch.video)[0, 0].argmax())]
    scores = objective.score(batch, [CLASSES])[0]
    assert CLASSES[int(scores.argmax())] == seen
    assert scores.max() == pytest.approx(1.0, abs=1e-5)


def test_no_texts_are_no_embeddings(tiny_bert: str) -> None:
    assert system(tiny_bert, top=1).embed_text([]).shape == (0, 32)


@pytest.mark.parametrize("top", [0, 6])
def test_more_classes_than_there_are_is_one_message(tiny_bert: str, top: int) -> None:
    with pytest.raises(RecipeError, match=f"top must be from 1 to 5 classes, found {top}"):
        system(tiny_bert, top=top)


def test_a_random_head_is_refused(tiny_bert: str) -> None:
    with pytest.raises(RecipeError, match="head: none"):
        ConSESystem(
            vision_encoder=Classifier(),
            text_encoder=HFText(model=tiny_bert, freeze=True),
            embed_dim=32,
            top=1,
        )


def test_an_encoder_without_class_names_is_refused(tiny_bert: str, patches: type[VisionEncoder]) -> None:
    with pytest.raises(RecipeError, match="has no 'class_names'"):
        ConSESystem(
            vision_encoder=patches(),
            text_encoder=HFText(model=tiny_bert, freeze=True, head="none"),
            embed_dim=32,
        )
