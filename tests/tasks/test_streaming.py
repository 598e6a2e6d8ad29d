"""The task `streaming` on planted streams: what is known to be right, and what cannot be judged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pycocoevalcap.cider.cider import Cider
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from jepa_vl.errors import ManifestError, RecipeError, UserError
from jepa_vl.metrics.caption_tokens import tokenize
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, SCORE, Collator, Objective
from jepa_vl.sample import WINDOW, Batch, Sample
from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.policies.oracle import OraclePolicy
from jepa_vl.streaming.policies.selective import SelectivePolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy
from jepa_vl.tasks.base import Result
from jepa_vl.tasks.streaming import StreamingTask

TEXTS = [
    "the agent opens the red door",
    "the agent picks up the blue key",
    "the agent drops the green ball",
    "the agent moves the grey box away",
    "nothing happens in this room now",
]
NOTHING = 4
STRIDE = 0.5


class Table(Objective):
    """Knows which text each clip shows; decodes to the nearest text of the table, and generates it too."""

    def __init__(self, shows: dict[str, int], *abilities: str) -> None:
        super().__init__()
        self.shows = shows
        self.abilities = frozenset(abilities or (EMBED, DECODE))
        self.decoded = 0
        self.generated: list[str] = []

    def collator(self) -> Collator:
        raise NotImplementedError

    def embed_video(self, batch: Batch) -> Tensor:
        return one_hot(torch.tensor([self.shows[s.id] for s in batch.samples]), len(TEXTS)).float()

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return one_hot(torch.tensor([TEXTS.index(t) for t in texts]), len(TEXTS)).float()

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        self.decoded += len(embeddings)
        return [TEXTS[i] for i in embeddings.argmax(dim=1).tolist()]

    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        self.generated += [s.id for s in batch.samples]
        return [TEXTS[self.shows[s.id]] for s in batch.samples]


def planted(media: str, events: dict[float, int], seconds: float) -> tuple[list[Sample], dict[str, int]]:
    """A stream whose windows show an event where its second lies within half a stride of their centre."""
    samples, shows = [], {}
    n = int((seconds - 1) / STRIDE) + 1
    for i in range(n):
        start = i * STRIDE
        name = f"{media} {start}"
        samples.append(Sample(id=name, media=media, start=start, end=start + 1, target="", kind=WINDOW))
        near = [k for t, k in events.items() if abs(start + 0.5 - t) < STRIDE / 2 + 1e-9]
        shows[name] = near[0] if near else NOTHING
    for t, k in events.items():
        name = f"{media} says {t}"
        samples.append(
            Sample(
                id=name,
                media=media,
                start=t - 0.5,
                end=t + 0.5,
                timestamps=(t,),
                target=TEXTS[k],
                kind="stream",
                episode=media,
            )
        )
        shows[name] = k
    return samples, shows


@pytest.fixture
def world() -> tuple[list[Sample], Table]:
    """Two streams of 10 s, 4 and 3 events at centres of windows, in any order, beside other samples."""
    one, shows = planted("a.mp4", {1.0: 0, 3.5: 1, 6.0: 2, 8.5: 3}, 10)
    two, more = planted("b.mp4", {2.0: 3, 5.5: 1, 9.0: 0}, 10)
    other = [Sample(id="caption", media="c.mp4", target="a caption")]
    samples = [*one, *two, *other]
    random.Random(0).shuffle(samples)
    return samples, Table(shows | more | {"caption": NOTHING})


def task(*policies: Policy, **known: Any) -> StreamingTask:
    given = {"rates": [2.0, 1.0, 0.5, 0.2], "shown_rates": [2.0, 1.0, 0.5, 0.2], **known}
    return StreamingTask(policies=list(policies) or None, **given)


def timeless(results: Sequence[Result]) -> list[Result]:
    """Without the rows of what a clock measured."""
    return [row for row in results if "time at" not in row.metric]


def test_the_oracle_and_the_densest_uniform_rate_say_everything(world: Any, run: Any, rows: Any) -> None:
    samples, objective = world
    found = rows(run(task(), objective, samples))
    for group in ("uniform @ 2 Hz", "oracle @ 1 Hz", "annotated clips", "true embeddings"):
        assert found[group, "CIDEr"].value == pytest.approx(10), group
    for metric in ("said", "event recall"):
        assert found["uniform @ 2 Hz", metric].value == 1
        assert found["oracle @ 1 Hz", metric].value == 1
    assert found["oracle @ 1 Hz", "event precision"].value == 1
    assert found["oracle @ 1 Hz", "decodes a second"].value == pytest.approx(7 / 20)
    assert found["uniform @ 2 Hz", "CIDEr"].n == 7


def test_selective_says_everything_with_as_many_decodes_as_there_are_stretches(
    world: Any, run: Any, rows: Any
) -> None:
    """9 stretches in 10 s are all told at 0.9 Hz, where uniform needs 2 Hz: 19 windows."""
    samples, objective = world
    policies = (UniformPolicy(), SelectivePolicy())
    found = run(
        task(*policies, rates=[2.0, 0.9, 0.5], reference_rate=2.0, shown_rates=[0.9]), objective, samples
    )
    assert rows(found)["selective @ 0.9 Hz", "CIDEr"].value == pytest.approx(10)
    assert (found[0].metric, found[0].group) == ("times fewer decodes at equal CIDEr", "all")
    assert found[0].value == pytest.approx(19 / 9)
    assert found[0].baselines == {"uniform": pytest.approx(1)}
    assert "selective, as good as uniform at 1.9 Hz: at 0.9 Hz" in found[0].note
    assert rows(found)["selective", "rates behind uniform"].value == 0


def test_cider_of_pairs_equals_pycocoevalcap(run: Any, rows: Any) -> None:
    """Of three annotations two are nearest to a decode that says another thing."""
    samples, shows = planted("a.mp4", {1.0: 0, 2.5: 1, 4.0: 2}, 5)
    found = task(UniformPolicy(), rates=[0.4], reference_rate=0.4, shown_rates=[0.4])
    result = rows(run(found, Table(shows), samples))
    # two decodes, at 1.0 (of 1.0 and 1.5 the earlier is taken as the middle) and 3.5
    at = UniformPolicy().decide(_stream(5), 0.4)
    assert [d.at for d in at] == [1.0, 3.5]
    said = [TEXTS[0], TEXTS[NOTHING], TEXTS[NOTHING]]
    tokens = {i: [" ".join(tokenize(TEXTS[i]))] for i in range(3)}
    _, each = Cider().compute_score(tokens, {i: [" ".join(tokenize(s))] for i, s in enumerate(said)})
    assert result["uniform @ 0.4 Hz", "CIDEr"].value == pytest.approx(np.mean(each))
    scored = found.outcomes()["uniform @ 0.4 Hz/CIDEr"]
    assert [scored[f"a.mp4 says {t}"] for t in (1.0, 2.5, 4.0)] == pytest.approx(list(each))
    assert result["uniform @ 0.4 Hz", "said"].value == pytest.approx(1 / 3)
    assert result["uniform @ 0.4 Hz", "event recall"].value == pytest.approx(1)  # 2.5 lies 1 s from 3.5


def _stream(seconds: float) -> EmbeddingStream:
    times = np.arange(0.5, seconds - 0.5 + 1e-9, STRIDE)
    return EmbeddingStream(times, np.ones((len(times), 1), dtype=np.float32), 1.0, STRIDE, seconds)


class Given(Policy):
    """Decodes windows at given seconds, some time after them."""

    causal = True
    label = "given"

    def __init__(self, *seconds: float, later: float = 0.5) -> None:
        self.seconds, self.later = seconds, later

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        at = [int(np.abs(stream.times - s).argmin()) for s in self.seconds]
        return [
            Decode(s, s + self.later, s, s, stream.embeddings[i])
            for s, i in zip(self.seconds, at, strict=True)
        ]


def test_of_level_decodes_the_earlier_is_compared(run: Any, rows: Any) -> None:
    samples, shows = planted("a.mp4", {2.0: 1, 3.0: 2, 4.0: 3}, 5)
    found = rows(run(task(UniformPolicy(), Given(2.5, 3.5), rates=[1.0]), Table(shows), samples))
    # 2.5 and 3.5 say nothing; 3.0 lies between them: nothing is said of it either way
    assert found["given @ 1 Hz", "said"].value == 0
    found = rows(run(task(UniformPolicy(), Given(2.0, 4.0), rates=[1.0]), Table(shows), samples))
    assert found["given @ 1 Hz", "said"].value == pytest.approx(2 / 3)
    early = planted("a.mp4", {2.0: 1, 3.0: 1, 4.0: 3}, 5)
    found = rows(run(task(UniformPolicy(), Given(2.0, 4.0), rates=[1.0]), Table(early[1]), early[0]))
    assert found["given @ 1 Hz", "said"].value == 1  # 3.0 is told by the decode at 2.0


def test_latency_is_to_the_first_decision_about_an_event(run: Any, rows: Any) -> None:
    samples, shows = planted("a.mp4", {2.0: 1, 6.0: 2, 9.0: 3}, 10)
    policy = Given(1.0, 2.0, 5.5, 6.5, later=0.75)  # the last event is not found
    found = rows(run(task(UniformPolicy(), policy, SelectivePolicy()), Table(shows), samples))
    assert found["given @ 1 Hz", "latency"].value == pytest.approx((-0.25 + 0.25) / 2)
    assert found["given @ 1 Hz", "event recall"].value == pytest.approx(2 / 3)
    assert found["given @ 1 Hz", "event precision"].value == 1
    assert found["given @ 1 Hz", "decodes a second"].value == pytest.approx(0.4)
    assert ("selective @ 1 Hz", "latency") not in found, "it looks at the whole video first"


def test_a_policy_that_never_decodes_has_no_quality(run: Any, rows: Any) -> None:
    samples, shows = planted("a.mp4", {2.5: 1, 6.5: 2, 9.0: 3}, 10)
    found = rows(run(task(UniformPolicy(), Given()), Table(shows), samples))
    assert found["given @ 1 Hz", "CIDEr"].value == 0
    assert found["given @ 1 Hz", "event precision"].value == 0
    assert found["given", "times fewer decodes at equal CIDEr"].value == 0


@pytest.mark.parametrize("abilities", [(EMBED, DECODE), (GENERATE,)], ids=["decodes", "generates"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_any_batching_and_repeated_samples_give_the_same_rows(
    world: Any, run: Any, abilities: tuple[str, ...], size: int
) -> None:
    samples, objective = world
    objective.abilities = frozenset(abilities)
    order = [*reversed(range(len(samples))), 0, 5, 9]
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    one, other = task(), task()
    assert timeless(run(one, objective, samples, batches=batches)) == timeless(run(other, objective, samples))
    assert one.outcomes() == other.outcomes()


def test_a_model_that_only_generates_says_windows_at_every_uniform_step(
    world: Any, run: Any, rows: Any
) -> None:
    samples, objective = world
    decoding = rows(run(task(), objective, samples))
    objective.abilities = frozenset({GENERATE, SCORE})
    found = run(task(), objective, samples)
    generating = rows(found)
    assert (found[0].group, found[0].metric) == ("all", "CIDEr"), "there is nothing to save"
    assert found[0].value == generating["uniform @ 1 Hz", "CIDEr"].value
    policies = {group.partition(" @ ")[0] for group, _ in generating if " @ " in group}
    assert policies == {"uniform", "random", "oracle"}
    for key, row in generating.items():
        if " @ " in key[0]:
            assert row == decoding[key]
    assert generating["annotated clips", "CIDEr"].value == pytest.approx(10)


def test_only_texts_that_are_compared_are_made_and_each_once(world: Any, run: Any) -> None:
    samples, objective = world
    policies = (UniformPolicy(), OraclePolicy())
    only = {"rates": [0.5], "reference_rate": 0.5}
    objective.abilities = frozenset({GENERATE})
    run(task(*policies, **only), objective, samples)
    windows = [name for name in objective.generated if "says" not in name]
    assert len(windows) == len(set(windows)) < 14, "7 annotations, two policies"
    objective.abilities = frozenset({EMBED, DECODE})
    run(task(*policies, **only), objective, samples)
    few = len(TEXTS)  # distinct embeddings
    assert objective.decoded <= few + few + few, "policies, true embeddings, and what a decode takes"


def test_embeddings_of_any_norm_are_taken_as_directions(world: Any, run: Any) -> None:
    samples, objective = world
    plain = run(task(), objective, samples)
    embed = objective.embed_video
    objective.embed_video = lambda batch: 3 * embed(batch)
    assert timeless(run(task(), objective, samples)) == timeless(plain)


def test_similarity_is_the_cosine_with_the_annotation(world: Any, run: Any) -> None:
    samples, objective = world
    made = task()
    run(made, objective, samples)
    each = {p["label"]: p["at"] for p in made.details()["policies"]}
    assert each["uniform"][0]["similarity"]["value"] == pytest.approx(1)
    low = each["uniform"][-1]
    assert low["similarity"]["value"] == pytest.approx(low["said"]["value"]), "one-hot: 1 where said, else 0"


def test_the_record_has_every_policy_at_every_rate(world: Any, run: Any) -> None:
    samples, objective = world
    made = task(shown_rates=[1.0])
    assert made.details() == {}
    shown = run(made, objective, samples)
    record = made.details()
    assert record["rates"] == [2.0, 1.0, 0.5, 0.2]
    assert {p["label"] for p in record["policies"]} == set(made.options()["policies"])
    assert all([at["rate"] for at in p["at"]] == record["rates"] for p in record["policies"])
    assert (record["streams"], record["windows"], record["annotations"]) == (2, 38, 7)
    assert {row.group.partition(" @ ")[2] for row in shown} - {""} == {"1 Hz"}


def test_a_sample_of_several_timestamps_is_as_many_annotations(run: Any, rows: Any) -> None:
    samples, shows = planted("a.mp4", {2.0: 1, 6.0: 1, 9.0: 3}, 10)
    twice = [s for s in samples if s.kind == "stream" and s.target == TEXTS[1]]
    samples = [s for s in samples if s not in twice]
    samples.append(twice[0].model_copy(update={"timestamps": (6.0, 2.0)}))
    made = task(UniformPolicy(), Given(2.0))
    row = rows(run(made, Table(shows), samples))["given @ 1 Hz", "said"]
    assert (row.n, row.value) == (3, pytest.approx(2 / 3))
    assert made.outcomes()["given @ 1 Hz/said"] == {twice[0].id: 1, "a.mp4 says 9.0": 0}


def test_streams_that_were_not_seen_whole_are_left_out_and_counted(world: Any, run: Any, rows: Any) -> None:
    samples, objective = world
    of_a = [i for i, s in enumerate(samples) if s.media == "a.mp4"]
    found = run(task(), objective, samples, batches=[[*of_a, samples.index(_first(samples, "b.mp4"))]])
    assert rows(found)["uniform @ 1 Hz", "CIDEr"].n == 4
    assert "1 streams left out: not all of their windows were seen" in found[0].note


def _first(samples: list[Sample], media: str) -> Sample:
    return next(s for s in samples if s.media == media)


def test_a_set_without_annotations_has_no_rows(run: Any) -> None:
    samples, shows = planted("a.mp4", {}, 5)
    assert run(task(), Table(shows), samples) == []


def test_an_objective_that_can_neither_decode_nor_generate_is_told_so(world: Any, run: Any) -> None:
    samples, objective = world
    objective.abilities = frozenset({EMBED, SCORE})
    with pytest.raises(UserError, match=r"embed and decode, or generate; Table can embed, score.*decoder"):
        run(task(), objective, samples)


def test_a_model_that_is_never_right_saves_nothing(world: Any, run: Any) -> None:
    samples, objective = world
    objective.decode = lambda embeddings, **_: ["blah"] * len(embeddings)
    found = run(task(), objective, samples)
    assert not [row for row in found if row.metric.startswith("times")]
    assert all(row.value == 0 for row in found if row.metric == "CIDEr")


def test_an_embedding_that_is_not_a_number_is_named(world: Any, run: Any) -> None:
    samples, objective = world
    embed = objective.embed_video

    def broken(batch: Batch) -> Tensor:
        found = normalize(embed(batch), dim=-1)
        found[[s.id == "b.mp4 3.0" for s in batch.samples]] = torch.nan
        return found

    objective.embed_video = broken
    with pytest.raises(UserError, match=r"'b\.mp4'.*3\.50 s"):
        run(task(), objective, samples)


def _changed(samples: list[Sample], kind: str, changes: dict[str, Any]) -> list[Sample]:
    place = next(i for i, s in enumerate(samples) if s.media == "a.mp4" and s.kind == kind)
    return [s.model_copy(update=changes) if i == place else s for i, s in enumerate(samples)]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("stream", {"timestamps": None}, "says .*': a stream needs 'timestamps'"),
        ("stream", {"media": "c.mp4"}, "'c.mp4' has no sample of the kind 'window' in the set 'test'"),
        (
            "stream",
            {"timestamps": (99.0,)},
            "99 s lies behind the last window of 'a.mp4', which ends at 10 s",
        ),
        ("window", {"end": None}, "a window needs 'end'"),
        ("window", {"end": 99.0}, "'a.mp4' has windows from 1 to"),
    ],
)
def test_what_is_no_stream_is_named(
    world: Any, run: Any, kind: str, changes: dict[str, Any], message: str
) -> None:
    samples, objective = world
    with pytest.raises(ManifestError, match=message):
        run(task(), objective, _changed(samples, kind, changes))


def test_two_windows_at_one_time_are_refused(world: Any, run: Any) -> None:
    samples, objective = world
    again = next(s for s in samples if s.kind == WINDOW).model_copy(update={"id": "again"})
    with pytest.raises(ManifestError, match="two windows that begin at one time"):
        run(task(), objective, [*samples, again])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rates": [1.0, 0.0]}, "streaming.rates is 0"),
        ({"tolerance": -1.0}, "streaming.tolerance is -1"),
        ({"max_new_tokens": 0}, "streaming.max_new_tokens is 0"),
        ({"policies": [SelectivePolicy()]}, r"no 'uniform'.*'selective'"),
        ({"policies": [UniformPolicy(), UniformPolicy()]}, "has 'uniform' twice"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        StreamingTask(**arguments)
