"""From a split's name to its sample set: its clips, their cached tokens, and which of them are bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.clips import Clip, ManifestSet
from jepa_vl.data.encode import build_cache
from jepa_vl.data.feature_cache import FeatureCache, cache_key, open_cache
from jepa_vl.data.reading import bad_media, check_media, refuse_unreadable
from jepa_vl.data.records import Record
from jepa_vl.data.splits import SUFFIX, TRAIN
from jepa_vl.data.subset import drawn
from jepa_vl.errors import did_you_mean
from jepa_vl.vision.base import VisionEncoder


@dataclass
class SetMaker:
    """Makes the sample sets of a catalogue for one encoder.

    Attributes:
        catalogue: What the manifests say.
        encoder: Whose preprocessing and tokens are wanted; None where texts alone are.
        fingerprint: Of the encoder, when its tokens are to be cached; None to decode each time.
        cache_dtype: Number format of cached tokens.
        max_bad: How many clips may be unreadable.
        num_workers: Processes that read media.
    """

    catalogue: Catalogue
    encoder: VisionEncoder | None
    fingerprint: str | None
    cache_dtype: str
    max_bad: int
    num_workers: int

    def prepare(self, name: str, *, device: torch.device) -> None:
        """Make a set's feature cache if there is none; without one, find the bad clips of an evaluation set.

        A cache belongs to the content of the clips, not to the texts about them or the names of their files.

        Raises:
            UserError: More media than allowed cannot be read, tokens are not finite, or the disk is full.
        """
        _, clips, single = self._split(name)
        encoder = self._encoder_for(name.removesuffix(SUFFIX))
        if encoder is None:
            return
        first: dict[str, Clip] = {}
        for clip in clips:
            first.setdefault(clip.digest, clip)
        distinct = list(first.values())
        preprocessing = encoder.preprocessing
        refuse_unreadable(distinct, self.catalogue.content, preprocessing, limit=self.max_bad)
        key = self._key(encoder, clips, single)
        if self.fingerprint is not None:
            if open_cache(key) is None:
                build_cache(
                    key,
                    distinct,
                    encoder,
                    what=f"Encoding '{name}'",
                    dtype=self.cache_dtype,
                    device=device,
                    single_frame=single,
                    num_workers=self.num_workers,
                    max_bad=self.max_bad,
                )
        elif self.max_bad and name != TRAIN:  # in training, a bad clip is replaced when it is met
            check_media(
                key,
                distinct,
                preprocessing,
                what=f"Checking '{name}'",
                num_workers=self.num_workers,
                max_bad=self.max_bad,
            )

    def make(self, name: str, *, limit: int | None = None) -> tuple[ManifestSet, dict[str, str]]:
        """Return a set of about ``limit`` samples, and a message for each clip left out, by its place.

        `drawn` says which. Tokens come from the cache if `prepare` made one; media are decoded otherwise.
        """
        records, clips, single = self._split(name)
        encoder = self._encoder_for(name.removesuffix(SUFFIX))
        cache: FeatureCache | None = None
        reasons: Mapping[str, str] = {}
        if encoder is not None:
            key = self._key(encoder, clips, single)
            cache = None if self.fingerprint is None else open_cache(key)
            reasons = bad_media(key) if cache is None else cache.bad
        bad: dict[str, str] = {}
        for clip in clips:
            if clip.digest in reasons:
                bad.setdefault(f"{clip.path} {clip.start} {clip.end}", clip.complaint(reasons[clip.digest]))
        keep = [i for i, clip in enumerate(clips) if clip.digest not in reasons]
        if limit is not None:
            keep = drawn(keep, [record.sample for record in records], limit)
        made = ManifestSet(
            name,
            [records[i] for i in keep],
            [clips[i] for i in keep],
            None if encoder is None else encoder.preprocessing,
            single_frame=single,
            cache=cache,
            max_bad=self.max_bad,
        )
        return made, bad

    def _split(self, name: str) -> tuple[list[Record], list[Clip], bool]:
        """Records and clips of a sample set, and whether it is of single frames."""
        split = name.removesuffix(SUFFIX)
        if split not in self.catalogue.splits and split != TRAIN:  # there may be nothing to train on
            raise KeyError(f"no split '{split}'; {did_you_mean(split, self.catalogue.splits)}")
        records = self.catalogue.splits.get(split, [])
        return records, self.catalogue.clips(split), name.endswith(SUFFIX)

    def _encoder_for(self, split: str) -> VisionEncoder | None:
        """Return what sees a split; None for texts.

        Raises:
            ManifestError: Some of its samples have media and some have none.
        """
        if split not in self.catalogue.splits:
            return self.encoder
        return self.encoder if self.encoder is not None and self.catalogue.is_seen(split) else None

    def _key(self, encoder: VisionEncoder, clips: list[Clip], single: bool) -> str:
        """Name of what is kept on disk about these clips and this encoder."""
        digests = (clip.digest for clip in clips)
        return cache_key(digests, encoder.preprocessing, self.fingerprint, self.cache_dtype, single)
