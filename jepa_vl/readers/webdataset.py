"""Webdataset tars of images with texts, as DataComp and YFCC-100M are downloaded: unpacked shard by shard."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jepa_vl.data.video import IMAGE_SUFFIXES
from jepa_vl.errors import ManifestError
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.rows import files_of
from jepa_vl.sample import Sample
from jepa_vl.whole_file import write_whole

VERSION = "webdataset tars: 000000012.jpg, 000000012.txt and 000000012.json side by side"
#: Of an unpacked shard: its origin, then its texts. Written last, so a folder without it is not finished.
DONE = "texts.jsonl"
_MARKED = 2**20  # bytes at the beginning of a tar that tell it from others


class WebDataset(Reader):
    """Images with a text each from webdataset tars; images are unpacked to ``media``, a folder for each tar.

    What is unpacked already is not unpacked again, so an interrupted run goes on where it stopped.

    Args:
        shards: A tar, or a pattern such as ``shards/*.tar``.
        media: The folder that images are unpacked to.
        caption: Key of the text in the ``.json`` member, where there is no ``.txt``.
        split: Name of the split in the manifest.
    """

    about = About(
        title="Webdataset tars (DataComp, YFCC-100M and others, as img2dataset writes them)",
        task="training",
        split="train",
        metric="none: a source for training",
        homepage="https://github.com/mlfoundations/datacomp",
        licence="DataComp's index CC BY 4.0; every image has its own",
        assumptions=(
            "Members of one item have one name up to the first dot. The text is that of `.txt`, else a key "
            "of `.json`; items without an image or a text are left out.",
            "How many images of an index can still be downloaded varies, so no number is expected.",
        ),
    )

    def __init__(self, *, shards: str, media: str, caption: str = "caption", split: str = "train") -> None:
        self.shards = shards
        self.media = Path(media)
        self.caption = caption
        self.split = split
        self.media.mkdir(parents=True, exist_ok=True)

    def samples(self) -> Iterator[Sample]:
        """Unpack each shard, then yield its images.

        Raises:
            ManifestError: A tar is not there, cannot be unpacked, or another one of its name was.
        """
        for shard in files_of(self.shards, VERSION):
            folder = self.media / shard.stem
            origin = {"tar": _mark(shard), "caption": self.caption}
            done = _lines(folder / DONE) if (folder / DONE).is_file() else [{}]
            if done[0].get("tar", origin["tar"]) != origin["tar"]:
                raise ManifestError(
                    f"'{folder}' holds the images of another {shard.name} than {shard}; name another folder "
                    "for --media, or delete this one"
                )
            if done[0] != origin:
                _unpack(shard, folder, origin)
                done = _lines(folder / DONE)
            for item in done[1:]:
                yield Sample(
                    id=f"webdataset/{shard.stem}/{item['key']}",
                    media=f"{shard.stem}/{item['image']}",
                    target=item["text"],
                    split=self.split,
                    source="webdataset",
                )


def _mark(shard: Path) -> str:
    with shard.open("rb") as tar:
        start = hashlib.blake2b(tar.read(_MARKED), digest_size=16)
    return f"{start.hexdigest()} {shard.stat().st_size}"


def _lines(done: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in done.read_text(encoding="utf-8").splitlines()]


def _unpack(shard: Path, folder: Path, origin: dict[str, str]) -> None:
    """Write the images of a tar to a folder, and last of all the list of their texts."""
    folder.mkdir(exist_ok=True)
    images: dict[str, str] = {}
    texts: dict[str, str] = {}
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                key, suffix = _key(member.name)
                file = tar.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                if suffix in IMAGE_SUFFIXES:
                    images[key] = f"{key}{suffix}"
                    (folder / images[key]).write_bytes(file.read())
                elif suffix == ".txt":
                    texts[key] = file.read().decode("utf-8", errors="replace").strip()
                elif suffix == ".json":
                    texts.setdefault(key, _caption(file.read(), origin["caption"]))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ManifestError(f"{shard}: cannot be unpacked ({error}); this reader reads {VERSION}") from error
    found = [key for key in images if texts.get(key)]
    if not found:
        raise ManifestError(
            f"{shard}: no image has a text ({len(images):,} images, {len(texts):,} texts); "
            f"this reader reads {VERSION}"
        )
    items = ({"key": key, "image": images[key], "text": texts[key]} for key in found)
    write_whole(folder / DONE, "".join(f"{json.dumps(line)}\n" for line in (origin, *items)))


def _key(member: str) -> tuple[str, str]:
    """Name of the item, as a name of a file, and the member's suffix: ``a/b.seg.png`` → ``a_b``, ``.png``."""
    path = PurePosixPath(member)
    stem, _, suffix = path.name.partition(".")
    parts = [part for part in (*path.parts[:-1], stem) if part not in ("/", ".", "..")]
    return "_".join(parts), f".{suffix.rpartition('.')[2].lower()}"


def _caption(content: bytes, key: str) -> str:
    value = json.loads(content)
    text = value.get(key) if isinstance(value, dict) else None
    return text.strip() if isinstance(text, str) else ""
