"""Readers of benchmarks of texts alone, on small files in the official formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepa_vl.errors import ManifestError
from jepa_vl.readers.base import Reader
from jepa_vl.readers.sugarcrepe_pp import SugarCrepePP
from jepa_vl.readers.visla import VISLA


def error_of(reader: Reader) -> str:
    with pytest.raises(ManifestError) as caught:
        list(reader.samples())
    return str(caught.value)


SUGAR = {
    "id": 0,
    "filename": "000000563349.jpg",
    "caption": "A snowboarder is flying in the air over snow.",
    "caption2": "A person on skis above snow is flying in the air.",
    "negative_caption": "Snow is flying in the air over a snowboarder.",
}


def sugarcrepe(folder: Path) -> SugarCrepePP:
    for name in ("replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj"):
        (folder / f"{name}.json").write_text(json.dumps([SUGAR, SUGAR | {"id": 1}]))
    return SugarCrepePP(annotations=str(folder))


def test_a_sugarcrepe_item_is_a_triplet_of_texts_of_its_kind(tmp_path: Path) -> None:
    samples = list(sugarcrepe(tmp_path).samples())
    assert [s.kind for s in samples[::2]] == [
        "sugarcrepe++/replace_attribute",
        "sugarcrepe++/replace_object",
        "sugarcrepe++/replace_relation",
        "sugarcrepe++/swap_attribute",
        "sugarcrepe++/swap_object",
    ]
    assert len({s.id for s in samples}) == 10
    first = samples[0]
    assert (first.media, first.query) == ("", "")
    assert (first.target, first.paraphrase, first.negative) == (
        SUGAR["caption"],
        SUGAR["caption2"],
        SUGAR["negative_caption"],
    )


def test_the_files_of_sugarcrepe_without_plus_are_refused(tmp_path: Path) -> None:
    reader = sugarcrepe(tmp_path)
    old = {k: v for k, v in SUGAR.items() if k not in ("id", "caption2")}
    (tmp_path / "replace_obj.json").write_text(json.dumps({"0": old}))
    message = error_of(reader)
    assert "replace_obj.json: found a" in message
    assert "object, expected a list" in message
    assert "SugarCrepe++" in message


def test_a_missing_sugarcrepe_file_is_named(tmp_path: Path) -> None:
    reader = sugarcrepe(tmp_path)
    (tmp_path / "swap_obj.json").unlink()
    assert "swap_obj.json" in error_of(reader)


GENERIC = (
    "filename\tcaption\tsecond positive\tnegative_caption",
    "000000460347.jpg\tA bus drives.\tA bus is driving.\tA bus is stuck.",
    '000000214224.jpg\t"Pub" hangs above bottles.\tA sign "Pub" is above.\t"Pub" hangs behind bottles.',
)
SPATIAL = (
    "image\tsent1\tsent2\tBest reference (Semantically close)\tReference-2 (Completely irrelevant)",
    "000000318723.jpg\tThe backpack contains the cat.\tThe cat is in the backpack.\tThe cat is out.\tOven.",
)


def visla(folder: Path, generic: tuple[str, ...] = GENERIC) -> VISLA:
    (folder / "SugarCrepe.tsv").write_text("\n".join(generic) + "\n")
    (folder / "VSR_spatial.tsv").write_text("\r\n".join(SPATIAL))
    return VISLA(annotations=str(folder))


def test_visla_rows_are_triplets_and_quotation_marks_are_kept(tmp_path: Path) -> None:
    first, quoted, spatial = visla(tmp_path).samples()
    assert (first.kind, first.media, first.episode) == ("visla/generic", "", "000000460347.jpg")
    assert quoted.target == '"Pub" hangs above bottles.'
    assert quoted.negative == '"Pub" hangs behind bottles.'
    assert spatial.kind == "visla/spatial"
    assert (spatial.paraphrase, spatial.negative) == ("The cat is in the backpack.", "The cat is out.")


@pytest.mark.parametrize(
    ("generic", "said"),
    [
        (("image_link,caption1,caption2,relation", "a,b,c,d"), "line 2: 'filename' is missing"),
        ((*GENERIC, "1.jpg\tA bus drives.\tA bus"), "line 4: 'negative_caption' is missing"),
        ((*GENERIC, "1.jpg\t\tA bus\tA"), "line 4, 'caption'"),
    ],
    ids=["another table", "cut", "blank"],
)
def test_a_broken_row_of_visla_is_named(tmp_path: Path, generic: tuple[str, ...], said: str) -> None:
    message = error_of(visla(tmp_path, generic))
    assert said in message
    assert "SugarCrepe.tsv" in message
