"""The contract of a benchmark reader: official annotation files → the samples of a manifest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from jepa_vl.sample import Sample


@dataclass(frozen=True)
class About:
    """What a user must know about a benchmark; ``jepa-vl convert NAME --help`` and the docs show it.

    Attributes:
        title: Its full name.
        task: What is measured: ``classification``, ``retrieval``, ``vqa``, …
        split: The official split that is evaluated.
        metric: The number that the paper reports.
        homepage: Where the annotations and media come from.
        licence: Under which terms.
        expected: Number of samples of each split of the complete set; ``convert`` compares. Empty where
            no number is published.
        assumptions: What the public description leaves open, and how it was read here.
    """

    title: str
    task: str
    split: str
    metric: str
    homepage: str
    licence: str
    expected: dict[str, int] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()


class Reader(ABC):
    """Turns the official files of one benchmark into samples.

    A constructor takes keyword arguments only, paths as ``str``; they are the flags of
    ``jepa-vl convert NAME``, and their descriptions its help. Media paths of the samples are relative to
    the folder of media that the user names.

    Attributes:
        about: What a user must know.
        has_media: Whether there is something to see; the command takes no folder of media otherwise.
        shares_candidates: Whether all samples choose from one list, which is then written once.
    """

    about: ClassVar[About]
    has_media: ClassVar[bool] = True
    shares_candidates: ClassVar[bool] = False

    def expected(self) -> dict[str, int]:
        """Return the number of samples of each split of the complete set, as read with these arguments.

        A reader whose arguments change the number overrides it; empty where none is published.
        """
        return self.about.expected

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Yield the samples in the order of the annotations.

        Raises:
            ManifestError: A file is missing, or is not of the version that is read: names the file, the
                line or key, what was found and what was expected.
        """
