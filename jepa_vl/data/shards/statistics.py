"""What is in the tables of a prepared set: how many samples of each split, kind and source, and how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.sample import Sample


@dataclass
class Counts:
    """Samples that have something in common.

    Attributes:
        samples: How many.
        clips: Rows of the clips they show.
        targets: Distinct target texts.
        words: Words of the targets.
        queries: How many have a query.
        seconds: Length of the stretches of media, of those that say start and end.
        stretches: How many do.
    """

    samples: int = 0
    clips: set[int] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    words: int = 0
    queries: int = 0
    seconds: float = 0.0
    stretches: int = 0

    def add(self, sample: Sample, row: int | None) -> None:
        """Count a sample."""
        self.samples += 1
        if row is not None:
            self.clips.add(row)
        self.targets.add(sample.target)
        self.words += len(sample.target.split())
        self.queries += bool(sample.query)
        if sample.start is not None and sample.end is not None:
            self.stretches += 1
            self.seconds += sample.end - sample.start


def count(reader: ShardReader) -> dict[str, dict[str, Counts]]:
    """Return counts by split, kind and source: ``found["split"]["train"].samples``.

    Raises:
        UserError: A table is missing or damaged.
    """
    found: dict[str, dict[str, Counts]] = {"split": {}, "kind": {}, "source": {}}
    for split in reader.prepared.tables:
        for line in reader.lines(split):
            names = {"split": split, "kind": line.sample.kind or "", "source": line.sample.source}
            for what, name in names.items():
                found[what].setdefault(name, Counts()).add(line.sample, line.row)
    return found


def largest(counts: dict[str, Counts], most: int) -> Iterator[tuple[str, Counts]]:
    """Yield the groups with the most samples, and the others as one."""
    ordered = sorted(counts.items(), key=lambda item: -item[1].samples)
    yield from ordered[:most]
    if len(ordered) > most:
        yield f"{len(ordered) - most:,} others", _together(counts for _, counts in ordered[most:])


def _together(several: Iterable[Counts]) -> Counts:
    whole = Counts()
    for one in several:
        whole.samples += one.samples
        whole.clips |= one.clips
        whole.targets |= one.targets
        whole.words += one.words
        whole.queries += one.queries
        whole.seconds += one.seconds
        whole.stretches += one.stretches
    return whole
