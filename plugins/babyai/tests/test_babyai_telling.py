from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from jepa_vl_babyai.data import BabyAIData
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.reading import read
from jepa_vl_babyai.records import Chosen, samples
from jepa_vl_babyai.settings import Settings
from jepa_vl_babyai.telling import TOLD, Telling, told
from jepa_vl_babyai.wording import WAYS

from jepa_vl.errors import RecipeError
from jepa_vl.sample import Sample

SIZES = {"train_clips": 16, "val_clips": 4, "test_clips": 6, "novel_clips": 4, "render_workers": 1}
COPIES = 100  # of each clip, so that an event is frequent


@pytest.fixture(scope="module")
def train(clips: list[Clip]) -> list[Sample]:
    chosen = [Chosen("train", i, i, clip) for i, clip in enumerate(clips[:20] * COPIES)]
    return list(samples(chosen, Settings()))


def captions(some: list[Sample]) -> list[Sample]:
    return [s for s in some if s.id.endswith("/caption")]


def tell(train: list[Sample], **telling: float) -> list[Sample]:
    return list(told(train, Telling(**telling), seed=0))  # type: ignore[arg-type]


def without_words(sample: Sample) -> Sample:
    return sample.model_copy(update={"target": "-"}) if sample.id.endswith("/caption") else sample


@pytest.mark.parametrize("ways", [1, 10, 30, WAYS])
def test_only_the_words_of_captions_depend_on_the_wording(train: list[Sample], ways: int) -> None:
    new = tell(train, wording=ways)
    assert list(map(without_words, new)) == list(map(without_words, train))
    assert all(str(read(s.target)) == s.group for s in captions(new))


def test_more_ways_give_more_sayings_of_an_event(train: list[Sample]) -> None:
    def sayings(ways: int) -> int:
        said: dict[str, set[str]] = defaultdict(set)
        times: dict[str, int] = defaultdict(int)
        for s in captions(tell(train, wording=ways)):
            said[s.group or ""].add(s.target)
            times[s.group or ""] += 1
        return len(said[max(times, key=lambda group: times[group])])

    found = [sayings(ways) for ways in (1, 3, 10, 30)]
    assert found[:3] == [1, 3, 10]
    assert 25 <= found[3] <= 30


def test_each_way_is_drawn_about_as_often(train: list[Sample]) -> None:
    said = [s.target for s in captions(tell(train, wording=2))]
    first = sum(text.startswith("the agent") for text in said)
    assert abs(first - len(said) / 2) < 4 * math.sqrt(len(said) / 4)


def test_what_a_clip_is_told_depends_on_no_other_clip(train: list[Sample]) -> None:
    whole = {s.id: s for s in tell(train, wording=30)}
    half = tell(train[::-1][: len(train) // 2], wording=30)
    assert all(whole[s.id] == s for s in half)
    other = captions(list(told(train, Telling(wording=30), seed=1)))
    assert sum(whole[s.id].target != s.target for s in other) > 0.8 * len(other)


def is_wrong(sample: Sample) -> bool:
    return sample.source != "babyai"


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_so_many_clips_are_told_as_another_one_of_another_class(train: list[Sample], share: float) -> None:
    new, old = tell(train, label_noise=share), {s.id: s for s in train}
    wrong = [is_wrong(s) for s in captions(new)]
    n = len(wrong)
    assert abs(sum(wrong) - share * n) <= 4 * math.sqrt(n * share * (1 - share))
    assert [(s.id, s.media, s.episode) for s in new] == [(s.id, s.media, s.episode) for s in train]
    of_clip: dict[str, list[Sample]] = defaultdict(list)
    for s in new:
        of_clip[s.media].append(s)
    for told_of in of_clip.values():
        sources = {s.source for s in told_of if s.id.rpartition("/")[2] in TOLD}
        assert len(sources) == 1, "one text of a clip is wrong and another is right"
        for s in told_of:
            part = s.id.rpartition("/")[2]
            if part not in TOLD or not is_wrong(s):
                assert s == old[s.id]
                continue
            other = old[f"{s.source.removeprefix('babyai: ')}/{part}"]
            told_as = ("query", "target", "label", "group", "kind", "candidates")
            assert all(getattr(s, name) == getattr(other, name) for name in told_as)
            clip = s.id.rpartition("/")[0]
            assert old[f"{clip}/action"].label != old[f"{other.id.rpartition('/')[0]}/action"].label


def test_more_noise_adds_wrong_clips_and_changes_none(train: list[Sample]) -> None:
    little, much = tell(train, label_noise=0.1), tell(train, label_noise=0.4)
    assert all(b == a for a, b in zip(little, much, strict=True) if is_wrong(a))
    assert sum(map(is_wrong, much)) > 2 * sum(map(is_wrong, little))


def test_the_wording_moves_neither_the_noise_nor_its_meanings(train: list[Sample]) -> None:
    plain, worded = tell(train, label_noise=0.3), tell(train, label_noise=0.3, wording=10)
    assert list(map(without_words, plain)) == list(map(without_words, worded))
    for s in captions(worded):
        assert read(s.target) == Meaning.parse(s.group or "")


def test_noise_among_clips_of_one_class_is_refused(train: list[Sample]) -> None:
    with pytest.raises(RecipeError, match=r"data\.label_noise needs training clips of two classes"):
        tell(train[:3], label_noise=0.5)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"wording": 0}, r"data\.wording must be from 1 to 140, .* found 0"),
        ({"evaluation_wording": 999}, r"data\.evaluation_wording must be from 1 to 140, .* found 999"),
        ({"label_noise": 1.5}, r"data\.label_noise must be a share from 0 to 1, found 1\.5"),
        ({"label_noise": -0.1}, r"data\.label_noise must be a share from 0 to 1, found -0\.1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(bad: dict[str, float], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        BabyAIData(**bad)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("JEPA_VL_CACHE", str(folder))
        yield folder


def made(**telling: float) -> BabyAIData:
    data = BabyAIData(**SIZES, **telling)  # type: ignore[arg-type]
    data.make()
    return data


def content(folder: Path) -> dict[str, str]:
    files = [f for f in folder.rglob("*") if f.is_file()]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_tellings_share_the_rendered_clips_and_never_a_manifest(cache: Path) -> None:
    plain = made()
    rendered = content(plain.folder)
    tellings = [
        {"wording": 1},
        {"wording": 10},
        {"label_noise": 0.5},
        {"wording": 10, "label_noise": 0.5},
        {"wording": 10, "label_noise": 0.25},
        {"evaluation_wording": 1},
    ]
    others = [made(**telling) for telling in tellings]
    assert {data.folder for data in others} == {plain.folder}
    now = content(plain.folder)
    assert {name: now[name] for name in rendered} == rendered
    assert len(now) == len(rendered) + 5 + 3  # five train manifests; val, test and novel once
    hashes = [data.data_hash for data in [plain, *others]]
    assert len(set(hashes)) == len(hashes)
    digests = [
        [c.digest for split in d.catalogue.splits for c in d.catalogue.clips(split)] for d in [plain, *others]
    ]
    assert all(each == digests[0] for each in digests)


def test_evaluation_samples_are_untouched_by_what_training_reads(cache: Path) -> None:
    def evaluated(data: BabyAIData) -> list[Sample]:
        return [r.sample for split in ("val", "test", "novel") for r in data.catalogue.splits[split]]

    assert evaluated(made(wording=30, label_noise=1.0)) == evaluated(made())
    plain = evaluated(made(evaluation_wording=1))
    assert [s.model_copy(update={"target": "-"}) for s in plain] == [
        s.model_copy(update={"target": "-"}) for s in evaluated(made())
    ]
    assert all(s.target.startswith("the agent ") for s in captions(plain))


def test_the_usual_telling_reads_the_rendered_manifests_themselves() -> None:
    data = BabyAIData()
    assert {f.name for f in data.manifests()} == {f"{s}.jsonl" for s in ("train", "val", "test", "novel")}


def test_a_manifest_is_written_once(cache: Path) -> None:
    (file,) = {f for f in made(wording=7).manifests() if "wording-7" in f.name}
    first = file.stat().st_mtime_ns
    made(wording=7)
    assert file.stat().st_mtime_ns == first
