"""Action100M: videos cut in a tree of segments, each with an action and a caption, brief and detailed."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.readers.annotation import Annotation
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.rows import read_rows
from jepa_vl.sample import Sample

VERSION = (
    "Action100M: {video_uid, metadata, nodes: [{start, end, node_id, level, gpt: {summary, action}, "
    "plm_caption, …}]}, as Parquet or JSON lines"
)
#: Kind of text → where it stands in a node.
TEXTS = {
    "action/brief": ("gpt", "action", "brief"),
    "action/detailed": ("gpt", "action", "detailed"),
    "caption/brief": ("gpt", "summary", "brief"),
    "caption/detailed": ("gpt", "summary", "detailed"),
    "plm/caption": ("plm_caption",),
    "plm/action": ("plm_action",),
}
DEFAULT_TEXTS = ("action/brief", "action/detailed", "caption/brief", "caption/detailed")


class Action100M(Reader):
    """Action100M, one text of one segment a sample; its kind says which text it is.

    Args:
        annotations: A file, or a pattern such as ``data/*.parquet``: Parquet, or JSON lines of the same rows.
        texts: Which texts of a segment become samples: ``action/brief``, ``action/detailed``,
            ``caption/brief``, ``caption/detailed``, ``plm/caption``, ``plm/action``.
        shortest: Segments shorter than this many seconds are left out.
        split: Name of the split in the manifest.
    """

    about = About(
        title="Action100M",
        task="training",
        split="train",
        metric="none: a source for training",
        homepage="https://github.com/facebookresearch/Action100M",
        licence="FAIR Noncommercial Research License; the videos are HowTo100M's",
        assumptions=(
            "A video is the file of its YouTube id, all in one folder.",
            "Segments too short to be annotated have no `gpt` entry, and give the `plm` texts alone, when "
            "those are asked for.",
            "The paper takes half of the detailed texts; here all of them are written, and how often each "
            "kind is drawn is the recipe's affair.",
            "Only a part of the set is released, so no number is expected.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        texts: tuple[str, ...] = DEFAULT_TEXTS,
        shortest: float = 0.0,
        split: str = "train",
    ) -> None:
        for kind in texts:
            if kind not in TEXTS:
                raise RecipeError(f"action100m: --texts: found '{kind}'; {did_you_mean(kind, TEXTS)}")
        self.annotations = annotations
        self.texts = texts
        self.shortest = shortest
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield the texts of every segment."""
        for row in read_rows(self.annotations, VERSION):
            video = row.text("video_uid")
            for node in row.at("nodes").entries():
                start, end = node.number("start"), node.number("end")
                if end <= start or end - start < self.shortest:
                    continue
                for kind in self.texts:
                    text = _text(node, TEXTS[kind])
                    if text is None:
                        continue
                    yield Sample(
                        id=f"action100m/{video}/{node.text('node_id')}/{kind}",
                        media=f"{video}.mp4",
                        start=start,
                        end=end,
                        target=text,
                        episode=video,
                        split=self.split,
                        source="action100m",
                        kind=kind,
                    )


def _text(node: Annotation, path: tuple[str, ...]) -> str | None:
    for key in path[:-1]:
        if not node.has(key):
            return None
        node = node.at(key)
    return node.text(path[-1]) if node.has(path[-1]) and str(node.at(path[-1]).value).strip() else None
