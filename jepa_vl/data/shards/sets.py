"""The samples of one split of prepared sets, and whether an encoder can use what is stored of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jepa_vl.data.base import SampleSet
from jepa_vl.data.catalogue import check_episodes, check_unique
from jepa_vl.data.clips import middle_frame
from jepa_vl.data.records import Record
from jepa_vl.data.shards.description import Features, Seen
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.splits import SUFFIX
from jepa_vl.data.subset import drawn
from jepa_vl.errors import ManifestError, RecipeError, UserError
from jepa_vl.sample import Item, Sample
from jepa_vl.vision.base import VisionEncoder

Place = tuple[int, int]  # number of a set, row in it
AGAIN = "prepare it anew with `jepa-vl prepare --config RECIPE`"


class ShardSet(SampleSet):
    """The items of one split: stored tokens, or stored pictures.

    Args:
        name: The split; ends in ``/single-frame`` where motion is taken away.
        samples: The records, in order.
        places: Where the clip of each is; None for a text.
        readers: The sets.
    """

    def __init__(
        self,
        name: str,
        samples: Sequence[Sample],
        places: Sequence[Place | None],
        readers: Sequence[ShardReader],
    ) -> None:
        self.name = name
        self.samples = list(samples)
        self.places = list(places)
        self.readers = list(readers)

    def __getitem__(self, index: int) -> Item:
        """Read one item.

        Raises:
            UserError: Its shard is missing or damaged, or cannot be reached.
        """
        sample, place = self.samples[index], self.places[index]
        if place is None:
            return Item(sample, index)
        reader = self.readers[place[0]]
        if reader.prepared.plan.features is not None:
            return Item(sample, index, tokens=reader.tokens(place[1]))
        return Item(sample, index, video=self._video(place))

    def frames(self, index: int) -> Tensor | None:
        """Return a clip's frames, uint8 ``[T, C, H, W]``, for people to look at; tokens are no frames."""
        place = self.places[index]
        if place is None or self.readers[place[0]].prepared.plan.frames is None:
            return None
        return self._video(place)

    def shard_numbers(self) -> list[int]:
        """Return the number of each sample's shard, over all sets; 0 for texts."""
        first = [0]
        for reader in self.readers:
            first.append(first[-1] + len(reader.prepared.shards))
        return [0 if p is None else first[p[0]] + self.readers[p[0]].shard_of(p[1]) for p in self.places]

    def _video(self, place: Place) -> Tensor:
        video = self.readers[place[0]].video(place[1])  # [T, C, H, W]
        return middle_frame(video) if self.name.endswith(SUFFIX) else video


def make_set(name: str, readers: Sequence[ShardReader], *, seen: bool, limit: int | None = None) -> ShardSet:
    """Return a sample set of about ``limit`` samples, as `drawn` chooses them.

    Args:
        name: The split; ends in ``/single-frame`` where motion is taken away.
        readers: The sets; a split has the samples of all.
        seen: Whether the objective looks at media at all.
        limit: Most samples; None for all.

    Raises:
        RecipeError: Single frames are wanted, and their tokens were not stored.
    """
    split = name.removesuffix(SUFFIX)
    samples: list[Sample] = []
    places: list[Place | None] = []
    for number, reader in enumerate(readers):
        if split not in reader.prepared.tables:
            continue
        plan = reader.prepared.plan
        apart = name.endswith(SUFFIX) and plan.features is not None
        if apart and split not in plan.stills:
            raise RecipeError(
                f"'{reader.store.place}' has no single-frame tokens of '{split}' "
                f"(of {', '.join(plan.stills) or 'no split'}); set 'single_frame_baseline: false' in the "
                f"recipe's data, or {AGAIN}"
            )
        for line in reader.lines(split):
            row = line.still if apart else line.row
            samples.append(line.sample)
            places.append(None if row is None or not seen else (number, row))
    if limit is not None:
        keep = drawn(range(len(samples)), samples, limit)
        samples, places = [samples[i] for i in keep], [places[i] for i in keep]
    return ShardSet(name, samples, places, readers)


def check_encoder(reader: ShardReader, encoder: VisionEncoder | None, fingerprint: str | None) -> None:
    """Refuse a set that holds something else than an encoder reads, or gives.

    Args:
        reader: The set.
        encoder: Of the objective; None for one that reads texts alone.
        fingerprint: Of the encoder, where it is frozen.

    Raises:
        RecipeError: Says what is stored, and what is wanted.
    """
    if encoder is None:
        return
    plan, place = reader.prepared.plan, reader.store.place
    wanted = Seen.of(encoder.preprocessing)
    if plan.seen != wanted:
        raise RecipeError(
            f"'{place}' was prepared from {plan.seen}, and the vision encoder reads {wanted}; {AGAIN}"
        )
    if plan.features is None:
        return
    name = type(encoder).__name__
    if fingerprint is None:
        raise RecipeError(
            f"'{place}' holds tokens of a frozen encoder, and the recipe trains {name}; "
            "freeze it, or prepare pictures (without --features)"
        )
    if fingerprint != plan.features.fingerprint:
        raise RecipeError(
            f"'{place}' holds tokens of {_told(plan.features, plan.features.fingerprint)}, and the recipe's "
            f"vision encoder is {_told(encoder, fingerprint)}; {AGAIN}"
        )


def check_together(readers: Sequence[ShardReader]) -> None:
    """Refuse sets of which one sample or episode would be in two places.

    Raises:
        ManifestError: An id occurs twice, an episode lies in two splits, or a split has media in one set
            and none in another.
        UserError: A set is given twice.
    """
    places = [reader.store.place for reader in readers]
    for place in places:
        if places.count(place) > 1:
            raise UserError(f"data.shards names '{place}' twice")
    if len(readers) < 2:
        return
    records = []
    media: dict[str, tuple[bool, str]] = {}
    for reader in readers:
        for split, table in reader.prepared.tables.items():
            has, where = media.setdefault(split, (table.has_media, reader.store.place))
            if has != table.has_media:
                raise ManifestError(
                    f"the split '{split}' has media in one of '{where}' and '{reader.store.place}', and "
                    "texts alone in the other; put texts in a split of their own"
                )
            records += [
                Record(line.sample, "", f"'{reader.store.place}', split {split}")
                for line in reader.lines(split)
            ]
    check_unique(records)
    check_episodes(records)


def _told(what: Features | VisionEncoder, fingerprint: str) -> str:
    name = what.encoder if isinstance(what, Features) else type(what).__name__
    grid = " × ".join(map(str, what.grid))
    return f"{name} ({grid} tokens of {what.dim} numbers, fingerprint {fingerprint[:12]})"
