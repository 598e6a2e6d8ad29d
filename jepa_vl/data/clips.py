"""Clips: what part of which file a sample shows, and the sample set that reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from jepa_vl.data.bad_media import BadMedia
from jepa_vl.data.base import SampleSet
from jepa_vl.data.content import EMPTY, MISSING
from jepa_vl.data.feature_cache import FeatureCache
from jepa_vl.data.records import Record
from jepa_vl.data.video import MediaError, read_clip
from jepa_vl.errors import UserError
from jepa_vl.sample import Item
from jepa_vl.vision.base import Preprocessing


@dataclass(frozen=True)
class Clip:
    """A stretch of media. Samples of equal clips show equal frames, whatever their files are called.

    Attributes:
        path: File, folder of frames, or URL.
        start: Seconds, or None for the beginning.
        end: Seconds, or None for the end.
        digest: Hash of the media's content, of ``start`` and of ``end``.
        owner: The sample (and its line) to name in messages.
    """

    path: str
    start: float | None
    end: float | None
    digest: str
    owner: str

    @classmethod
    def of(cls, record: Record, content: str) -> Clip:
        """Return the clip of a record whose media's content hash is ``content``."""
        sample = record.sample
        if content in (MISSING, EMPTY):
            content += record.path  # two missing files are not the same file
        text = f"{content} {sample.start} {sample.end}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return cls(record.path, sample.start, sample.end, digest, f"sample '{sample.id}' ({record.where})")

    def read(self, preprocessing: Preprocessing, *, single_frame: bool = False) -> Tensor:
        """Decode to uint8 ``[T, C, H, W]``; with ``single_frame``, T times the middle one of its frames.

        Raises:
            MediaError: Names the file and the sample.
        """
        try:
            video = read_clip(self.path, preprocessing, start=self.start, end=self.end)  # [T, C, H, W]
        except MediaError as error:
            raise MediaError(self.complaint(error.reason), reason=error.reason) from error
        return middle_frame(video) if single_frame else video

    def complaint(self, reason: str) -> str:
        """Say that it cannot be read."""
        return f"{self.owner}: cannot read '{self.path}': {reason}"


def middle_frame(video: Tensor) -> Tensor:
    """Repeat the middle one of T frames ``[T, C, H, W]``: what is left when the motion is taken away."""
    return video[len(video) // 2].expand_as(video).contiguous()


class ManifestSet(SampleSet):
    """The items of one split: cached tokens where there is a cache, decoded frames otherwise.

    Args:
        name: The split; ends in ``/single-frame`` where motion is taken away.
        records: Its records, in order.
        clips: The clip of each record.
        preprocessing: How the encoder wants its media; None where texts alone are wanted.
        single_frame: Whether every frame is the clip's middle one.
        cache: Tokens by clip, or None to decode.
        max_bad: How many unreadable clips may be replaced by the next readable one (live decoding only).
    """

    def __init__(
        self,
        name: str,
        records: Sequence[Record],
        clips: Sequence[Clip],
        preprocessing: Preprocessing | None,
        *,
        single_frame: bool = False,
        cache: FeatureCache | None = None,
        max_bad: int = 0,
    ) -> None:
        self.name = name
        self.samples = [record.sample for record in records]
        self.clips = list(clips)
        self.preprocessing = preprocessing
        self.single_frame = single_frame
        self.cache = cache
        self.bad = BadMedia(len(self.samples), max_bad)

    def __getitem__(self, index: int) -> Item:
        """Read one item.

        Raises:
            MediaError: The media cannot be read and none may be bad.
            UserError: More media than allowed cannot be read.
        """
        if self.cache is not None:
            tokens = self.cache.tokens(self.clips[index].digest, owner=self.clips[index].owner)
            return Item(self.samples[index], index, tokens=tokens)
        if self.preprocessing is None:
            return Item(self.samples[index], index)
        for step in range(len(self)):
            at = (index + step) % len(self)
            try:
                video = self.clips[at].read(self.preprocessing, single_frame=self.single_frame)
            except MediaError as error:
                self.bad.add(at, error)
            else:
                return Item(self.samples[at], at, video=video)
        raise UserError(f"no clip of '{self.name}' can be read")

    def frames(self, index: int) -> Tensor | None:
        """Decode a clip's frames, uint8 ``[T, C, H, W]``, for people to look at; a cache keeps none."""
        if self.preprocessing is None:
            return None
        return self.clips[index].read(self.preprocessing, single_frame=self.single_frame)
