"""What a prepared set is: what was prepared of what and how, and what came of it. Kept beside its shards."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jepa_vl.data.shards.store import Store
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing

#: Raised by one whenever sets of an older version can no longer be read.
FORMAT = 1
PLAN, PREPARED, INDEX, REPORT = "plan.json", "prepared.json", "index.json", "report.txt"
IDENTITY_BYTES = 8


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Frames(_Strict):
    """Clips kept as pictures.

    Attributes:
        codec: ``jpeg`` or ``png``; the latter loses nothing.
        quality: Of JPEG, to 100.
    """

    codec: Literal["jpeg", "png"] = "jpeg"
    quality: int = 95


class Features(_Strict):
    """Clips kept as a frozen encoder's tokens.

    Attributes:
        encoder: Its class.
        fingerprint: Of its weights and settings.
        grid: (time, height, width) of the tokens.
        dim: D, the width of a token.
        dtype: Number format.
    """

    encoder: str
    fingerprint: str
    grid: tuple[int, int, int]
    dim: int
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"


class Seen(_Strict):
    """How media are read: `Preprocessing` without what the encoder itself does (mean and deviation).

    Attributes:
        size: Height and width in pixels.
        num_frames: Frames of a clip.
        interpolation: Of the resizing.
        resize_mode: Of the resizing.
        resize_to: Of the resizing.
    """

    size: tuple[int, int]
    num_frames: int
    interpolation: str
    resize_mode: str
    resize_to: int | None

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> Seen:
        """Return the part of a preprocessing that decides what the frames are."""
        return cls(**{name: getattr(preprocessing, name) for name in cls.model_fields})

    def __str__(self) -> str:
        height, width = self.size
        more = f" to {self.resize_to}" if self.resize_to is not None else ""
        return (
            f"{self.num_frames} frames of {height} × {width} pixels ({self.interpolation}, "
            f"{self.resize_mode}{more})"
        )


class Plan(_Strict):
    """Everything that the content of a prepared set depends on.

    Attributes:
        format: `FORMAT` of the version that made it.
        source: Hash of the manifests' samples and of the content of their media.
        seen: How media are read.
        frames: How pictures are kept, or None.
        features: Which tokens are kept, or None.
        stills: Splits whose single-frame tokens are kept as well.
        clips: How many distinct clips there are, single frames included.
        clips_per_shard: How many of them a shard is made of.
    """

    format: int = FORMAT
    source: str
    seen: Seen
    frames: Frames | None = None
    features: Features | None = None
    stills: list[str] = []
    clips: int
    clips_per_shard: int

    @cached_property
    def identity(self) -> bytes:
        """A number that stands in each item of the set, so that shards of another set are noticed."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=IDENTITY_BYTES).digest()

    @property
    def data_hash(self) -> str:
        """Hash of the data that is trained on: the source's where nothing was lost on the way."""
        lossy = self.frames is not None and self.frames.codec == "jpeg"
        if not lossy:
            return self.source
        return hashlib.sha256(f"{self.source} {self.frames!r}".encode()).hexdigest()


class Shard(_Strict):
    """A file of the set.

    Attributes:
        file: Its name.
        rows: How many clips are in it.
        size: Bytes.
    """

    file: str
    rows: int
    size: int


class Table(_Strict):
    """The samples of a split.

    Attributes:
        file: Its name.
        samples: How many.
        clips: Of how many distinct clips.
        has_media: Whether there is something to see.
    """

    file: str
    samples: int
    clips: int
    has_media: bool


class Amounts(_Strict):
    """Smallest, mean and largest of something.

    Attributes:
        least: Smallest.
        mean: Mean.
        most: Largest.
    """

    least: float
    mean: float
    most: float


class Prepared(_Strict):
    """A finished set.

    Attributes:
        plan: What was to be prepared.
        shards: Its files, in the order of their rows.
        tables: Its samples, by split.
        lists: Files of candidates that many samples share.
        labels: Every class name, sorted.
        skipped: How many clips could not be read, and are left out with their samples.
        skipped_samples: How many samples these are.
        clip_bytes: Of a clip in a shard.
        norms: Of a token.
    """

    plan: Plan
    shards: list[Shard]
    tables: dict[str, Table]
    lists: list[str]
    labels: list[str]
    skipped: int
    skipped_samples: int
    clip_bytes: Amounts | None
    norms: Amounts | None

    @cached_property
    def version(self) -> str:
        """A name for what came of the plan: prepared again, other clips may turn out to be readable."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=IDENTITY_BYTES).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(shard.size for shard in self.shards)


def read_prepared(store: Store) -> Prepared:
    """Read what a prepared set is.

    Raises:
        UserError: There is no finished set, or another version made it.
    """
    data = store.read(PREPARED)
    if data is None:
        if store.read(PLAN) is not None:
            raise UserError(
                f"'{store.place}' was not prepared to its end; run the same `jepa-vl prepare` again to go on"
            )
        raise UserError(f"'{store.place}' holds no prepared data ({PREPARED}); `jepa-vl prepare` makes them")
    found: Prepared = _parsed(Prepared, data, f"{store.place}/{PREPARED}")
    return found


def read_plan(store: Store) -> Plan | None:
    """Read what is being prepared; None where nothing is.

    Raises:
        UserError: Another version began it.
    """
    data = store.read(PLAN)
    return None if data is None else _parsed(Plan, data, f"{store.place}/{PLAN}")


def _parsed(model: type[BaseModel], data: bytes, where: str) -> Any:
    try:
        content = json.loads(data)
        found = content.get("plan", content)["format"]
        if found != FORMAT:
            raise UserError(
                f"'{where}' is of format {found}, this version of jepa-vl reads format {FORMAT}; "
                "prepare the data anew"
            )
        return model.model_validate(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{where}' is damaged ({str(error).splitlines()[0]}); prepare the data anew"
        ) from error
