"""From a reader to a manifest: media are looked for, what is missing is listed, counts are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from jepa_vl.data.progress import track
from jepa_vl.data.records import SHOWN, is_url, write_manifest
from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.readers.base import Reader
from jepa_vl.readers.media import MediaFolder
from jepa_vl.sample import Sample


@dataclass
class Conversion:
    """What was read and written.

    Attributes:
        read: Number of samples of each split in the annotations.
        written: Number of samples of each split in the manifest.
        kinds: Number of written samples of each kind.
        labels: Class names that occur.
        media: Number of distinct media, found or not.
        missing: Media that were not found, in the order of the annotations.
    """

    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    labels: set[str] = field(default_factory=set)
    media: int = 0
    missing: list[str] = field(default_factory=list)


def missing_list(output: Path) -> Path:
    """Return the file that lists the missing media of a manifest."""
    return output.with_name(output.name + ".missing.txt")


def convert(
    reader: Reader, output: Path, *, media: Path | None, max_missing: int | None = 0, name: str = "converting"
) -> Conversion:
    """Write the samples of a reader as a manifest.

    Media inside the manifest's folder are named relative to it, others by their absolute path.
    Samples whose media are missing are left out, and so are questions of which a choice is missing; the
    media stand in ``<output>.missing.txt``. A list of candidates that all samples share stands in
    ``<output>.candidates.txt``. The manifest appears whole or not at all.

    Args:
        reader: A benchmark.
        output: The manifest to write.
        media: The folder of media; None for a benchmark of texts.
        max_missing: How many media may be missing; None allows any number.
        name: Shown beside the progress.

    Raises:
        ManifestError: The annotations are broken, or more media are missing than allowed.
        RecipeError: The samples have media, and no folder was named; or it is not a folder.
    """
    if media is not None and not media.is_dir():
        raise RecipeError(f"--media: '{media}' is not a folder")
    done = Conversion()
    expected = reader.expected()
    samples = track(reader.samples(), total=sum(expected.values()) or None, what=name)
    listed = missing_list(output)
    try:
        kept = _kept(samples, done, _Place(output, media), max_missing, listed)
        write_manifest(output, kept, share_candidates=reader.shares_candidates)
    finally:
        output.with_name(output.name + ".tmp").unlink(missing_ok=True)
    if not done.missing:
        listed.unlink(missing_ok=True)
    return done


class _Place:
    """Where the media lie, and how the manifest names them."""

    def __init__(self, output: Path, media: Path | None) -> None:
        self.media = media
        self.folder = MediaFolder(media) if media is not None else None
        self.prefix = Path()
        if media is not None:
            home, media = output.parent.resolve(), media.resolve()
            self.prefix = media.relative_to(home) if media.is_relative_to(home) else media
        self._named: dict[str, str | None] = {}

    def name(self, media: str) -> str | None:
        """Path of the media in the manifest, or None where there is no such file."""
        if self.folder is None:
            raise RecipeError("this benchmark has media; name their folder: --media DIR")
        if media not in self._named:
            found = self.folder.find(media)
            self._named[media] = None if found is None else str(self.prefix / found)
        return self._named[media]

    def __contains__(self, media: str) -> bool:
        return media in self._named

    def __len__(self) -> int:
        return len(self._named)


def _kept(
    samples: Iterator[Sample], done: Conversion, place: _Place, max_missing: int | None, listed: Path
) -> Iterator[Sample]:
    seen: set[str] = set()
    dropped: set[str] = set()
    for sample in _checked(samples):
        if sample.id in seen:
            raise ManifestError(f"the annotations name '{sample.id}' twice; each item must occur once")
        seen.add(sample.id)
        done.read[sample.split] += 1
        named: str | None = sample.media
        if sample.media and not is_url(sample.media):
            new = sample.media not in place
            named = place.name(sample.media)
            if named is None and new:
                done.missing.append(sample.media)
        if named is None or not dropped.isdisjoint(sample.choices or ()):
            dropped.add(sample.id)
            continue
        done.written[sample.split] += 1
        if sample.kind is not None:
            done.kinds[sample.kind] += 1
        if sample.label is not None:
            done.labels.add(sample.label)
        yield sample if named == sample.media else sample.model_copy(update={"media": named})
    done.media = len(place)
    if not done.read:
        raise ManifestError("the annotations hold no item")
    if done.missing:
        _list_missing(done, place, max_missing, listed)


def _checked(samples: Iterator[Sample]) -> Iterator[Sample]:
    """Turn an item that no sample can hold into one error."""
    try:
        yield from samples
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        item = detail["input"].get("id", "") if isinstance(detail["input"], dict) else repr(detail["input"])
        raise ManifestError(
            f"an item of the annotations cannot be used: {field or item}: {detail['msg']}"
        ) from error


def _list_missing(done: Conversion, place: _Place, max_missing: int | None, listed: Path) -> None:
    """Write the list of what is missing, and refuse too much of it."""
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(f"{media}\n" for media in done.missing), encoding="utf-8")
    few = [f"{place.media}/{media}" for media in done.missing[:SHOWN]]
    more = [f"and {len(done.missing) - SHOWN:,} more"] if len(done.missing) > SHOWN else []
    if not done.written:
        raise ManifestError(
            "\n  ".join(
                [f"none of {done.media:,} media is there; is '{place.media}' the right folder?", *few]
            )
        )
    if max_missing is not None and len(done.missing) > max_missing:
        raise ManifestError(
            "\n  ".join(
                [
                    f"{len(done.missing):,} of {done.media:,} media are missing, --max-missing allows "
                    f"{max_missing:,}; all are listed in {listed}",
                    *few,
                    *more,
                ]
            )
        )
