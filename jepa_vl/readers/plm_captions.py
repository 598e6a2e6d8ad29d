"""PerceptionLM's captions and conversations about images and videos."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.readers.annotation import Annotation
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.rows import read_rows
from jepa_vl.sample import Sample

VERSION = (
    "PerceptionLM's training rows: {video or image, conversations: [{from, value}, …]}, {video or image, "
    "caption}, or both, as JSON lines or Parquet"
)
MARKS = ("<image>", "<video>")
CAPTIONS = ("caption", "llama3v_80b_cap")  # keys of a caption; the second in OpenImages and Objects365


class PLMCaptions(Reader):
    """PerceptionLM's data, one question with its answer, or one caption, a sample.

    Args:
        annotations: A file, or a pattern such as ``plm/*.jsonl``: JSON lines, or Parquet of the same rows.
        instructions: Whether conversations are read, and what the human says becomes the query. Without it
            pretraining is query-free: the caption of a row that has one, else what is answered.
        split: Name of the split in the manifest.
    """

    about = About(
        title="PerceptionLM data (PLM-Image-Auto, PLM-Video-Auto, PLM-Video-Human)",
        task="training",
        split="train",
        metric="none: a source for training",
        homepage="https://github.com/facebookresearch/perception_models/blob/main/apps/plm/docs/training.md",
        licence="PLM-Video-Human CC BY 4.0; PLM-Image-Auto and PLM-Video-Auto Llama 3.2 licence",
        assumptions=(
            "Rows have the keys of PLM-Image-Auto's card: `image`, `conversations`, and in some parts a "
            "caption (`caption`, `llama3v_80b_cap`). No description of PLM-Video-Auto's rows was found: they "
            "are taken to have `video` in place of `image`, and, where only a part of a video is meant, "
            "`start_time` and `end_time` in seconds.",
            "Regions of PLM-Video-Human (`masklet_id`, frame numbers) are not read: such rows are refused.",
            "Each human line and the answer after it are one sample; the answers before it are not repeated "
            "in the query.",
            "The sets are collections of many parts, so no number is expected.",
        ),
    )

    def __init__(self, *, annotations: str, instructions: bool = False, split: str = "train") -> None:
        self.annotations = annotations
        self.instructions = instructions
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield the captions, or the turns, of every row."""
        for number, row in enumerate(read_rows(self.annotations, VERSION), start=1):
            media = row.text("video" if row.has("video") or not row.has("image") else "image")
            if row.has("masklet_id"):
                raise row.wrong("'masklet_id': texts about regions of a video are not read")
            turns = self._turns(row)
            for turn, (asked, said) in enumerate(turns, start=1):
                yield Sample(
                    id=f"plm_captions/{number}/{turn}",
                    media=media,
                    start=row.number("start_time") if row.has("start_time") else None,
                    end=row.number("end_time") if row.has("end_time") else None,
                    query=asked if self.instructions else "",
                    target=said,
                    episode=media,
                    split=self.split,
                    source="plm_captions",
                )

    def _turns(self, row: Annotation) -> list[tuple[str, str]]:
        """(what is asked, what is said), or the one caption."""
        captions = [row.text(key) for key in CAPTIONS if row.has(key)]
        if captions and not (self.instructions and row.has("conversations")):
            return [("", captions[0])]
        return _conversation(row)


def _conversation(row: Annotation) -> list[tuple[str, str]]:
    """(what is asked, what is said) of a conversation, in which both take turns."""
    lines = row.at("conversations").entries()
    speakers = [line.at("from").one_of(line.text("from"), ("human", "assistant")) for line in lines]
    if not lines or speakers != ["human", "assistant"] * (len(lines) // 2):
        raise row.at("conversations").wrong(
            f"found {', '.join(speakers)}, expected human, assistant in turns"
        )
    asked = [_unmarked(line.text("value")) for line in lines[::2]]
    return list(zip(asked, [line.text("value") for line in lines[1::2]], strict=True))


def _unmarked(text: str) -> str:
    """The text without the marks that say where the image goes."""
    for mark in MARKS:
        text = text.replace(mark, "")
    return text.strip()
