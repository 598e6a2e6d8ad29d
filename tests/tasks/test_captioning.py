"""Captioning against pycocoevalcap and slow loops, for objectives that say, embed and decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from torch.nn.functional import normalize

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE
from jepa_vl.sample import Sample
from jepa_vl.tasks.captioning import CaptioningTask

VERBS, COLOURS, THINGS = ("go to", "pick up", "put down"), ("red", "blue"), ("ball", "key", "box")
CAPTIONS = [f"{v} the {c} {t}" for v in VERBS for c in COLOURS for t in THINGS]


def clip(i: int, caption: str, **more: Any) -> Sample:
    given = {"id": f"s{i:02}", "media": f"{i}.mp4", "episode": f"e{i // 4}", "target": caption}
    return Sample(**{**given, **more})


@pytest.fixture
def samples() -> list[Sample]:
    """24 samples: 20 captions of 12 clips, 8 of them with two, and four that other tasks take."""
    clips = [
        clip(i, CAPTIONS[5 * i % 18], media=f"{i % 12}.mp4", kind=("short", "long")[i % 2], episode=None)
        for i in range(20)
    ]
    return [
        *clips,
        clip(20, "x", label="x"),
        clip(21, "yes", candidates=("yes", "no")),
        clip(22, "", kind="window"),
        clip(23, "a", paraphrase="b", negative="c"),
    ]


def said_of(sample: Sample) -> str:
    return CAPTIONS[int(sample.id[1:]) * 7 % 18].upper() + "."


def talks(made: Any, *abilities: str) -> Any:
    """The objective, which says a caption that its sample's number decides."""
    made.abilities = frozenset(abilities)
    made.asked = []

    def generate(batch: Any, *, max_new_tokens: int) -> list[str]:
        made.asked += [(s.id, max_new_tokens) for s in batch.samples]
        assert batch.index.tolist() == batch.tokens[:, 0, 0].long().tolist()
        return [said_of(s) for s in batch.samples]

    def decode(embeddings: torch.Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        bank = normalize(torch.stack([made.text[c] for c in CAPTIONS]), dim=-1)
        nearest = (embeddings @ bank.T).argmax(dim=1).tolist()
        return [CAPTIONS[i] if i % 2 else CAPTIONS[0] for i in nearest]  # half of them are lost

    made.generate, made.decode = generate, decode
    return made


def theirs(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, tuple[float, Any]]:
    gts = {i: list(r) for i, r in enumerate(references)}
    res = {i: [s.lower().rstrip(".")] for i, s in enumerate(said)}
    bleu = Bleu(4).compute_score(gts, res, verbose=0)
    return {
        "CIDEr": Cider().compute_score(gts, res),
        "ROUGE-L": Rouge().compute_score(gts, res),
        "BLEU-4": (bleu[0][3], None),
    }


def test_equals_pycocoevalcap_with_all_captions_of_a_clip(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = talks(objective(samples, CAPTIONS), GENERATE)
    task = CaptioningTask(max_new_tokens=7)
    found = rows(run(task, made, samples))
    assert made.asked == [(f"s{i:02}", 7) for i in range(12)]  # each clip once
    references = [[s.target for s in samples[:20] if s.media == f"{i}.mp4"] for i in range(12)]
    said = [said_of(s) for s in samples[:12]]
    for metric, (total, each) in theirs(said, references).items():
        assert found["all", metric].value == pytest.approx(total, abs=1e-9)
        assert found["all", metric].n == 12
        assert found["all", metric].low <= total <= found["all", metric].high
        if each is not None:
            assert list(task.outcomes()[metric].values()) == pytest.approx(list(each), abs=1e-9)
            for k, kind in enumerate(("short", "long")):
                assert found[kind, metric].value == pytest.approx(each[k::2].mean(), abs=1e-9)
    exact = [s.lower().rstrip(".") in r for s, r in zip(said, references, strict=True)]
    assert any(exact)
    assert found["all", "exact match"].value == pytest.approx(sum(exact) / 12)
    assert not {metric for _, metric in found} & {"similarity"}
    assert set(task.outcomes()) == {"CIDEr", "ROUGE-L", "exact match"}
    assert list(task.outcomes()["exact match"]) == [s.id for s in samples[:12]]


def test_similarity_and_its_chance_equal_a_slow_loop(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = talks(objective(samples, CAPTIONS), EMBED)
    found = rows(run(CaptioningTask(), made, samples))
    assert {metric for _, metric in found} == {"similarity"}
    own, other = [], []
    for i in range(12):
        cosine = {
            s.id: float(torch.cosine_similarity(made.video[f"s{i:02}"], made.text[s.target], dim=0))
            for s in samples[:20]
        }
        mine = {s.id for s in samples[:20] if s.media == f"{i}.mp4"}
        own.append(np.mean([c for name, c in cosine.items() if name in mine]))
        other.append(np.mean([c for name, c in cosine.items() if name not in mine]))
    assert found["all", "similarity"].value == pytest.approx(np.mean(own), abs=1e-6)
    assert found["all", "similarity"].chance == pytest.approx(np.mean(other), abs=1e-6)
    assert found["long", "similarity"].chance == pytest.approx(np.mean(other[1::2]), abs=1e-6)


@pytest.mark.parametrize("abilities", [(GENERATE,), (EMBED,), (EMBED, GENERATE, DECODE)])
def test_any_batching_and_repeated_samples_give_the_same_rows(
    abilities: tuple[str, ...], samples: list[Sample], objective: Any, run: Any, batching: list[list[int]]
) -> None:
    made = talks(objective(samples, CAPTIONS), *abilities)
    whole, parts = CaptioningTask(), CaptioningTask()
    expected = run(whole, made, samples, train=samples)
    for row, other in zip(expected, run(parts, made, samples, train=samples, batches=batching), strict=True):
        assert (row.metric, row.group, row.baselines) == (other.metric, other.group, other.baselines)
        numbers = [row.value, row.low, row.high, row.chance]
        again = [other.value, other.low, other.high, other.chance]
        assert again == pytest.approx(numbers, abs=1e-6)
    assert [e.predicted for e in parts.examples()] == [e.predicted for e in whole.examples()]


def test_baselines_are_the_most_frequent_caption_and_what_the_decoder_loses(
    samples: list[Sample], objective: Any, run: Any, rows: Any
) -> None:
    made = talks(objective(samples, CAPTIONS), EMBED, GENERATE, DECODE)
    often = "go to the red ball"
    train = [clip(50, often), clip(51, often), clip(52, "no", label="no"), clip(53, CAPTIONS[3])]
    found = rows(
        run(CaptioningTask(), made, samples, train=train + [clip(60 + i, "x", label="x") for i in range(9)])
    )
    references = [[s.target for s in samples[:20] if s.media == f"{i}.mp4"] for i in range(12)]
    lost = [r[0] if CAPTIONS.index(r[0]) % 2 else CAPTIONS[0] for r in references]
    for name, said in (("majority", [often] * 12), ("from true embedding", lost)):
        for metric, (total, _) in theirs(said, references).items():
            assert found["all", metric].baselines[name] == pytest.approx(total, abs=1e-9)
    assert found["all", "similarity"].baselines == {}


def test_kinds_choose_the_samples(samples: list[Sample], objective: Any, run: Any, rows: Any) -> None:
    made = talks(objective(samples, CAPTIONS), GENERATE)
    found = rows(run(CaptioningTask(kinds=["short"]), made, samples))
    assert {group for group, _ in found} == {"all"}
    assert found["all", "CIDEr"].n == 6


def test_a_kind_that_no_sample_has_is_named(
    samples: list[Sample], objective: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = talks(objective(samples, CAPTIONS), GENERATE)
    assert run(CaptioningTask(kinds=["shorts"]), made, samples) == []
    assert "did you mean 'short'?" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"), [({"max_new_tokens": 0}, "expected 1 or more"), ({"kinds": []}, "empty list")]
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CaptioningTask(**options)


def test_samples_of_other_tasks_are_passed_over(samples: list[Sample], objective: Any, run: Any) -> None:
    made = talks(objective(samples, CAPTIONS), EMBED, GENERATE)
    assert run(CaptioningTask(), made, samples[20:]) == []
    assert made.asked == []


def test_one_clip_alone_has_no_chance(objective: Any, run: Any, rows: Any) -> None:
    only = [clip(0, CAPTIONS[0]), clip(1, CAPTIONS[1], media="0.mp4")]
    found = rows(run(CaptioningTask(), talks(objective(only, CAPTIONS), EMBED), only))
    assert found["all", "similarity"].chance is None


def test_examples_show_the_caption_that_was_matched(objective: Any, run: Any) -> None:
    two = [clip(0, "another caption"), clip(1, said_of(clip(0, "x")), media="0.mp4")]
    task = CaptioningTask()
    run(task, talks(objective(two, CAPTIONS), GENERATE), two)
    (example,) = task.examples()
    assert example.predicted == example.expected == two[1].target


def test_no_metric_of_captions_but_exact_match_is_printed_in_percent(
    samples: list[Sample], objective: Any, run: Any
) -> None:
    found = run(CaptioningTask(), talks(objective(samples, CAPTIONS), GENERATE, EMBED), samples)
    assert {row.metric: row.unit for row in found} == {
        "CIDEr": "points",
        "BLEU-4": "points",
        "ROUGE-L": "points",
        "exact match": "percent",
        "similarity": "number",
    }
