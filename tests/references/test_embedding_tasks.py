"""Retrieval, classification and VQA equal clip_benchmark, torchmetrics and open_clip on equal embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import pytest
import torch
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.retrieval import RetrievalHitRate

from jepa_vl.data.base import SampleSet
from jepa_vl.objectives.base import EMBED, Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens
from jepa_vl.tasks.base import Result, Task
from jepa_vl.tasks.classification import ClassificationTask
from jepa_vl.tasks.retrieval import RetrievalTask
from jepa_vl.tasks.vqa import VQATask

WIDTH, SIZE = 24, 32


class Given(Objective):
    """Embeds video as it lies in the batch, and texts with a function."""

    abilities = frozenset({EMBED})

    def __init__(self, embed: Callable[[Sequence[str]], Tensor]) -> None:
        super().__init__()
        self.embed = embed

    def collator(self) -> Collator:
        raise NotImplementedError

    def embed_video(self, batch: Batch) -> Tensor:
        assert batch.tokens is not None
        return normalize(batch.tokens[:, 0], dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return self.embed(texts)


class Listed(SampleSet):
    def __init__(self, samples: list[Sample]) -> None:
        self.name, self.samples = "test", samples

    def __getitem__(self, index: int) -> Item:
        raise NotImplementedError


def measure(
    task: Task, objective: Objective, samples: list[Sample], seen: Tensor, labels: Sequence[str] = ()
) -> dict[str, Result]:
    """Rows of the whole set by metric; ``seen`` is an embedding ``[n, E]`` or a frame ``[n, C, H, W]``."""
    task.bind(Listed(samples), labels=list(labels), train=[])
    for start in range(0, len(samples), 7):
        at = torch.arange(start, min(start + 7, len(samples)))
        words = TextTokens(
            torch.zeros(len(at), 1, dtype=torch.long), torch.ones(len(at), 1, dtype=torch.bool)
        )
        media = {"video": seen[at, None]} if seen.dim() == 4 else {"tokens": seen[at, None]}
        batch = Batch([samples[i] for i in at], at, at, words, words, **media)
        with torch.no_grad():
            task.update(objective, batch, objective.embed_video(batch))
    return {row.metric: row for row in task.compute() if row.group == "all"}


# -- retrieval


@pytest.fixture
def captioned() -> tuple[list[Sample], Tensor, Tensor, Tensor, Given]:
    """40 images with 1 to 5 captions each: samples, images, texts, the image of each text, the objective."""
    generator = torch.Generator().manual_seed(3)
    images = normalize(torch.randn(40, WIDTH, generator=generator), dim=-1)
    image_of = torch.tensor([i for i in range(40) for _ in range(1 + i % 5)])
    noise = torch.randn(len(image_of), WIDTH, generator=generator)
    texts = normalize(images[image_of] + 0.5 * noise, dim=-1)
    samples = [
        Sample(id=f"{j}", media=f"{i}.jpg", target=f"text {j}") for j, i in enumerate(image_of.tolist())
    ]
    objective = Given(lambda asked: texts[[int(text.split()[1]) for text in asked]])
    return samples, images, texts, image_of, objective


def test_recall_is_clip_benchmarks_with_several_captions_an_image(captioned: Any) -> None:
    samples, images, texts, image_of, objective = captioned
    found = measure(RetrievalTask(), objective, samples, images[image_of])
    scores = texts @ images.T  # [T, I]
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(texts)), image_of] = True
    for k in (1, 5, 10):
        for way, s, p in (("text-to-video", scores, positive), ("video-to-text", scores.T, positive.T)):
            peer = (zeroshot_retrieval.recall_at_k(s, p, k) > 0).float().mean().item()
            assert found[f"{way} R@{k}"].value == pytest.approx(peer, abs=1e-6)
            assert 0.1 < peer < 1 or k > 1  # or the test would show little


def test_recall_is_the_whole_of_clip_benchmarks_evaluation(captioned: Any) -> None:
    """Its own loop over a loader: images in, several captions each."""
    samples, images, texts, image_of, objective = captioned

    class Embedded:
        encode_image = staticmethod(lambda x: x)
        encode_text = staticmethod(lambda x: texts[x])

    captions = [[j for j in range(len(texts)) if image_of[j] == i] for i in range(40)]
    loader = [(images[i : i + 8], captions[i : i + 8]) for i in range(0, 40, 8)]
    peer = zeroshot_retrieval.evaluate(
        Embedded(), loader, torch.tensor, "cpu", amp=False, recall_k_list=[1, 5, 10]
    )
    found = measure(RetrievalTask(), objective, samples, images[image_of])
    for k in (1, 5, 10):
        assert found[f"text-to-video R@{k}"].value == pytest.approx(peer[f"image_retrieval_recall@{k}"])
        assert found[f"video-to-text R@{k}"].value == pytest.approx(peer[f"text_retrieval_recall@{k}"])


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_is_torchmetrics_hit_rate_both_ways(k: int, captioned: Any) -> None:
    samples, images, texts, image_of, objective = captioned
    found = measure(RetrievalTask(), objective, samples, images[image_of])
    scores = texts @ images.T
    positive = image_of[:, None] == torch.arange(40)
    for way, s, p in (("text-to-video", scores, positive), ("video-to-text", scores.T, positive.T)):
        index = torch.arange(len(s))[:, None].expand_as(s)
        peer = RetrievalHitRate(top_k=k)(s.flatten(), p.flatten(), indexes=index.flatten())
        assert found[f"{way} R@{k}"].value == pytest.approx(peer.item())


# -- classification and VQA


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """clip_benchmark's own; only its float() of an array of one number, which NumPy refuses now, is eased."""
    monkeypatch.setattr(zeroshot_classification, "float", lambda array: array.item(), raising=False)
    return zeroshot_classification.accuracy


@pytest.fixture
def classified() -> tuple[list[Sample], list[str], Tensor, Tensor, Tensor, Given]:
    """200 samples of 12 classes of unequal size: samples, labels, videos, class texts, truth, objective."""
    generator = torch.Generator().manual_seed(4)
    classes = normalize(torch.randn(12, WIDTH, generator=generator), dim=-1)
    truth = torch.randint(12, (200,), generator=generator).square() // 12 % 12
    truth[:12] = torch.arange(12)
    videos = classes[truth] + 0.7 * torch.randn(200, WIDTH, generator=generator)
    labels = [f"class {i:02}" for i in range(12)]
    samples = [
        Sample(
            id=f"{i}",
            media=f"{i}.mp4",
            query="?",
            target=labels[t],
            label=labels[t],
            candidates=tuple(labels),
        )
        for i, t in enumerate(truth.tolist())
    ]
    objective = Given(lambda asked: classes[[int(text.split()[1]) for text in asked]])
    return samples, labels, normalize(videos, dim=-1), classes, truth, objective


def test_accuracy_is_clip_benchmarks_and_torchmetrics(classified: Any, accuracy: Any) -> None:
    samples, labels, videos, classes, truth, objective = classified
    found = measure(ClassificationTask(), objective, samples, videos, labels)
    logits = videos @ classes.T
    top1, top5 = accuracy(logits, truth, topk=(1, 5))
    assert 0.1 < top1 < top5 < 1
    assert found["top-1"].value == pytest.approx(top1)
    assert found["top-5"].value == pytest.approx(top5)
    for metric, options in (
        ("top-1", {"average": "micro"}),
        ("top-5", {"average": "micro", "top_k": 5}),
        ("mean per class", {"average": "macro"}),
    ):
        peer = MulticlassAccuracy(num_classes=12, **options)(logits, truth)
        assert found[metric].value == pytest.approx(peer.item(), abs=1e-6)
    balanced = balanced_accuracy_score(truth, logits.argmax(dim=1))  # clip_benchmark's mean_per_class_recall
    assert found["mean per class"].value == pytest.approx(balanced)


def test_vqa_over_one_list_of_answers_is_the_same_accuracy(classified: Any, accuracy: Any) -> None:
    samples, _, videos, classes, truth, objective = classified
    found = measure(VQATask(), objective, samples, videos)
    assert found["accuracy"].value == pytest.approx(accuracy(videos @ classes.T, truth)[0])


class Clip(Objective):
    """An open_clip model as an objective: the one frame of a clip, and texts."""

    abilities = frozenset({EMBED})

    def __init__(self, model: open_clip.CLIP) -> None:
        super().__init__()
        self.model = model

    def collator(self) -> Collator:
        raise NotImplementedError

    def embed_video(self, batch: Batch) -> Tensor:
        assert batch.video is not None
        return self.model.encode_image(batch.video[:, 0], normalize=True)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return self.model.encode_text(tokenize(texts), normalize=True)


def tokenize(texts: Sequence[str]) -> Tensor:
    return open_clip.SimpleTokenizer(context_length=16)(list(texts))


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=2, width=32, head_width=16, patch_size=8, image_size=SIZE)
    text = CLIPTextCfg(context_length=16, width=32, heads=2, layers=2)
    model = open_clip.CLIP(WIDTH, vision, text).eval()
    # at its initial scale an untrained model says one class of everything
    for parameter in model.parameters():
        parameter.data *= 3
    return model


@pytest.mark.parametrize("templates", [("{}",), ("a photo of a {}.", "a drawing of a {}.", "a sleeping {}")])
def test_zero_shot_classification_is_open_clips(
    templates: tuple[str, ...], clip: open_clip.CLIP, accuracy: Any
) -> None:
    labels = ["cat", "dog", "cow", "red panda", "great white shark", "猫"]
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(48, 3, SIZE, SIZE, generator=generator)
    with torch.no_grad():
        weights = open_clip.build_zero_shot_classifier(clip, tokenize, labels, list(templates))  # [E, K]
        logits = clip.encode_image(images, normalize=True) @ weights
    predicted = logits.argmax(dim=1)
    truth = torch.randint(6, (48,), generator=generator)
    samples = [
        Sample(id=f"{i}", media=f"{i}.jpg", target=labels[t], label=labels[t]) for i, t in enumerate(truth)
    ]
    task = ClassificationTask(templates=templates)
    found = measure(task, Clip(clip), samples, images, labels)
    assert len(set(predicted.tolist())) > 1
    assert [e.predicted for e in task.examples(48)] == [labels[i] for i in predicted]
    assert found["top-1"].value == pytest.approx((predicted == truth).float().mean().item())
    assert found["top-5"].value == pytest.approx(accuracy(logits, truth, topk=(5,))[0])


def test_an_ensemble_is_another_classifier_than_one_template(clip: open_clip.CLIP) -> None:
    """Else the test above would pass without any ensembling."""
    labels = ["cat", "dog", "cow", "red panda"]
    with torch.no_grad():
        one, several = (
            open_clip.build_zero_shot_classifier(clip, tokenize, labels, templates)
            for templates in (["a photo of a {}."], ["a photo of a {}.", "a sleeping {}"])
        )
    assert not torch.allclose(one, several, atol=1e-3)
