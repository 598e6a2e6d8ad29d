"""ImageNet: one of 1,000 things in a photograph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from jepa_vl.data.video import frame_files
from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.readers.annotation import read_csv, read_text
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

SYNSETS_VERSION = "LOC_synset_mapping.txt: 'n01440764 tench, Tinca tinca', a class a line"
VERSION = "LOC_val_solution.csv: ImageId,PredictionString"
NAMES_VERSION = "one class name a line, in the order of the sorted class numbers n01440764, n01443537, …"


class ImageNet(Reader):
    """ImageNet (ILSVRC 2012), one image a sample.

    Args:
        synsets: ``LOC_synset_mapping.txt``: class number and names.
        annotations: ``LOC_val_solution.csv``, for images in one folder; without it each image lies in a
            folder of its class's number, as ``n01440764/ILSVRC2012_val_00000293.JPEG``.
        names: Class names of your own instead of the first one of ``synsets``: a text file, one a line, in
            the order of the class numbers.
        media: The folder of images; read here when there is no ``annotations``.
        split: Name of the split in the manifest.
    """

    about = About(
        title="ImageNet (ILSVRC 2012)",
        task="classification",
        split="validation",
        metric="top-1 accuracy over 1,000 classes",
        homepage="https://www.image-net.org/challenges/LSVRC/2012/",
        licence="ImageNet's terms of access, non-commercial research",
        expected={"val": 50_000},
        assumptions=(
            "The paper does not say how it words the classes. The default is the first name of each synset; "
            "where two synsets share it (crane, maillot) all of their names are taken. The names that CLIP "
            "uses can be given as a file.",
        ),
    )

    def __init__(
        self,
        *,
        synsets: str,
        annotations: str | None = None,
        names: str | None = None,
        media: str | None = None,
        split: str = "val",
    ) -> None:
        if annotations is None and media is None:
            raise RecipeError(
                "imagenet: without --annotations the folders of --media are read; name one of them"
            )
        self.synsets = synsets
        self.annotations = annotations
        self.names = names
        self.media = media
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield one sample an image."""
        names = self._class_names()
        for media, number in self._images(names):
            yield Sample(
                id=f"imagenet/{Path(media).stem}",
                media=media,
                target=names[number],
                label=names[number],
                split=self.split,
                source="imagenet",
            )

    def _images(self, names: dict[str, str]) -> Iterator[tuple[str, str]]:
        if self.annotations is not None:
            for row in read_csv(self.annotations, VERSION, ("ImageId", "PredictionString")):
                number = row.text("PredictionString").split()[0]
                yield f"{row.text('ImageId')}.JPEG", row.at("PredictionString").one_of(number, names)
            return
        assert self.media is not None
        folders = [number for number in names if (Path(self.media) / number).is_dir()]
        if not folders:
            first = next(iter(names))
            raise ManifestError(
                f"'{self.media}' has no folder of a class such as '{first}'; images in one folder need "
                "--annotations LOC_val_solution.csv"
            )
        for number in folders:
            for file in frame_files(Path(self.media) / number):
                yield f"{number}/{file.name}", number

    def _class_names(self) -> dict[str, str]:
        every: dict[str, str] = {}
        for place, line in enumerate(read_text(self.synsets, SYNSETS_VERSION).splitlines(), start=1):
            number, _, words = line.strip().partition(" ")
            if not number:
                continue
            if not number.startswith("n") or not number[1:].isdigit() or not words:
                raise ManifestError(
                    f"{self.synsets}, line {place}: found '{line}', expected {SYNSETS_VERSION}"
                )
            every[number] = words
        if self.names is not None:
            return dict(zip(sorted(every), self._own_names(len(every)), strict=True))
        first = {number: words.split(",")[0] for number, words in every.items()}
        times = Counter(first.values())
        return {number: every[number] if times[name] > 1 else name for number, name in first.items()}

    def _own_names(self, wanted: int) -> list[str]:
        assert self.names is not None
        found = [line.strip() for line in read_text(self.names, NAMES_VERSION).splitlines() if line.strip()]
        if len(found) != wanted:
            raise ManifestError(f"{self.names}: found {len(found):,} class names, expected {wanted:,}")
        if twice := [name for name, n in Counter(found).items() if n > 1]:
            raise ManifestError(
                f"{self.names}, lines {_lines(found, twice[0])}: class name '{twice[0]}' stands there "
                f"{found.count(twice[0])} times; classes need different names"
            )
        return found


def _lines(names: list[str], name: str) -> str:
    return " and ".join(str(i) for i, n in enumerate(names, start=1) if n == name)
