from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jepa_vl.data.records import read_manifest
from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.conversion import Conversion, convert
from jepa_vl.readers.media import MediaFolder
from jepa_vl.sample import Sample


class Given(Reader):
    about = About("t", "classification", "val", "m", "h", "l")

    def __init__(self, *given: Sample) -> None:
        self.given = given

    def samples(self) -> Iterator[Sample]:
        yield from self.given


def clip(name: str, **more: object) -> Sample:
    return Sample.model_validate({"id": name, "media": f"{name}.mp4", "target": "t", **more})


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("a.mp4", "b.webm", "c.MKV"):
        (folder / name).touch()
    return folder


def run(reader: Reader, folder: Path, output: Path, max_missing: int | None = 0) -> Conversion:
    return convert(reader, output, media=folder, max_missing=max_missing)


def test_media_inside_the_manifests_folder_are_relative_and_others_absolute(
    tmp_path: Path, media: Path
) -> None:
    run(Given(clip("a")), media, tmp_path / "here.jsonl")
    assert read_manifest(tmp_path / "here.jsonl")[0].media == "media/a.mp4"
    run(Given(clip("a")), media, tmp_path / "other" / "there.jsonl")
    assert read_manifest(tmp_path / "other" / "there.jsonl")[0].media == str(media.resolve() / "a.mp4")


def test_candidates_of_all_samples_are_written_once(tmp_path: Path, media: Path) -> None:
    class OneList(Given):
        shares_candidates = True

    asked = [clip(name, query="?", candidates=["t", "u"]) for name in ("a", "b")]
    run(OneList(*asked), media, tmp_path / "m.jsonl")
    assert (tmp_path / "m.jsonl.candidates.txt").read_text() == "t\nu\n"
    assert [s.candidates for s in read_manifest(tmp_path / "m.jsonl")] == [("t", "u")] * 2
    run(Given(*asked), media, tmp_path / "own.jsonl")
    assert not (tmp_path / "own.jsonl.candidates.txt").exists()


def test_media_are_found_whatever_the_container_but_not_another_kind(tmp_path: Path, media: Path) -> None:
    (media / "d.png").touch()
    folder = MediaFolder(media)
    assert folder.find("b.mp4") == "b.webm"
    assert folder.find("c.mp4") == "c.MKV"
    assert folder.find("c.mkv") == "c.MKV"
    assert folder.find("d.mp4") is None
    assert folder.find("d.JPEG") == "d.png"
    assert folder.find("nowhere/a.mp4") is None


def test_a_folder_of_frames_is_media_too(tmp_path: Path, media: Path) -> None:
    (media / "states" / "7.5").mkdir(parents=True)
    assert MediaFolder(media).find("states/7.5") == "states/7.5"
    assert MediaFolder(media).find("states/8") is None


def test_too_much_missing_media_writes_a_list_and_no_manifest(tmp_path: Path, media: Path) -> None:
    output = tmp_path / "m.jsonl"
    reader = Given(clip("a"), clip("x"), clip("y"), clip("x2", media="x.mp4"))
    with pytest.raises(ManifestError, match="2 of 3 media are missing, --max-missing allows 1"):
        run(reader, media, output, 1)
    assert (tmp_path / "m.jsonl.missing.txt").read_text() == "x.mp4\ny.mp4\n"
    assert not output.exists()
    assert not list(tmp_path.glob(".*"))


def test_an_earlier_manifest_survives_a_failure(tmp_path: Path, media: Path) -> None:
    output = tmp_path / "m.jsonl"
    run(Given(clip("a")), media, output)
    with pytest.raises(ManifestError):
        run(Given(clip("b"), clip("x")), media, output)
    assert [s.id for s in read_manifest(output)] == ["a"]


@pytest.mark.parametrize("limit", [2, None])
def test_within_the_limit_samples_without_media_are_left_out_and_counted(
    tmp_path: Path, media: Path, limit: int | None
) -> None:
    output = tmp_path / "m.jsonl"
    done = run(Given(clip("a", label="l", kind="k"), clip("x"), clip("y"), clip("b")), media, output, limit)
    assert [s.id for s in read_manifest(output)] == ["a", "b"]
    assert (done.read["train"], done.written["train"], done.media) == (4, 2, 4)
    assert (done.missing, dict(done.kinds), done.labels) == (["x.mp4", "y.mp4"], {"k": 1}, {"l"})
    run(Given(clip("a")), media, output)
    assert not (tmp_path / "m.jsonl.missing.txt").exists()  # the list of an earlier time


def test_a_question_goes_with_its_missing_choice(tmp_path: Path, media: Path) -> None:
    a, x = (clip(n, target="", kind="choice") for n in "ax")
    question = clip("q", media="b.mp4", target="", choices=("a", "x"), answer="a")
    run(Given(a, x, question), media, tmp_path / "m.jsonl", None)
    assert [s.id for s in read_manifest(tmp_path / "m.jsonl")] == ["a"]


def test_the_wrong_folder_is_told_from_some_missing_files(tmp_path: Path, media: Path) -> None:
    with pytest.raises(ManifestError, match=f"none of 1 media is there; is '{media}' the right folder"):
        run(Given(clip("x")), media, tmp_path / "m.jsonl", None)
    with pytest.raises(RecipeError, match="is not a folder"):
        run(Given(clip("a")), tmp_path / "no", tmp_path / "m.jsonl")
    with pytest.raises(RecipeError, match="name their folder: --media DIR"):
        convert(Given(clip("a")), tmp_path / "m.jsonl", media=None)


def test_texts_and_urls_need_no_folder(tmp_path: Path) -> None:
    reader = Given(clip("a", media=""), clip("b", media="https://example.org/b.mp4"))
    convert(reader, tmp_path / "m.jsonl", media=None)
    assert [s.media for s in read_manifest(tmp_path / "m.jsonl")] == ["", "https://example.org/b.mp4"]


def test_an_item_that_occurs_twice_is_refused(tmp_path: Path, media: Path) -> None:
    with pytest.raises(ManifestError, match="name 'a' twice"):
        run(Given(clip("a"), clip("a")), media, tmp_path / "m.jsonl")


def test_no_item_at_all_is_an_error(tmp_path: Path, media: Path) -> None:
    with pytest.raises(ManifestError, match="hold no item"):
        run(Given(), media, tmp_path / "m.jsonl")


def test_an_item_that_no_sample_can_hold_is_one_error(tmp_path: Path, media: Path) -> None:
    class Backwards(Given):
        def samples(self) -> Iterator[Sample]:
            yield clip("a", start=3.0, end=2.0)

    with pytest.raises(ManifestError, match=r"cannot be used: a: .*end \(2.0\) must lie after start \(3.0\)"):
        run(Backwards(), media, tmp_path / "m.jsonl")
