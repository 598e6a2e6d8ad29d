"""Ego-Exo4D keysteps: which step of a procedure a person wearing a camera does."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.readers.annotation import read_csv, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = (
    "keystep_segment_val.json of the fine-grained keystep benchmark: {segments: [{ego_segment_name, "
    "take_uid, label_id, step_name, …}]}"
)
LABELS_VERSION = "label_mapping.csv of the fine-grained keystep benchmark"


class EgoExo4DKeysteps(Reader):
    """Ego-Exo4D fine-grained keystep recognition, one trimmed egocentric clip a sample.

    Args:
        annotations: ``keystep_segment_val.json``.
        labels: ``label_mapping.csv``; when given, every step must be one of its names.
        split: Name of the split in the manifest.
    """

    about = About(
        title="Ego-Exo4D fine-grained keystep recognition",
        task="classification",
        split="validation",
        metric="top-1 accuracy over 278 keysteps",
        homepage="https://docs.ego-exo4d-data.org/benchmarks/keystep/keystep_recoginition",
        licence="Ego-Exo4D licence agreement, signed once; downloaded with its own command line",
        assumptions=(
            "The paper does not name its label space; the benchmark's own 278 keysteps are taken, with the "
            "egocentric clips that the benchmark tests on (`--parts keystep_benchmark/clips_448p`).",
            "Steps of different scenarios that are worded alike are one class.",
        ),
    )

    def __init__(self, *, annotations: str, labels: str | None = None, split: str = "val") -> None:
        self.annotations = annotations
        self.labels = labels
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a segment."""
        names = None
        if self.labels is not None:
            rows = read_csv(self.labels, LABELS_VERSION, ("label_id", "step_name"))
            names = {row.text("step_name") for row in rows}
        for segment in read_json(self.annotations, VERSION).at("segments").entries():
            name = segment.text("step_name")
            if names is not None:
                segment.at("step_name").one_of(name, names)
            clip = segment.text("ego_segment_name")
            yield Sample(
                id=f"egoexo4d_keysteps/{clip.rpartition('.')[0]}",
                media=clip,
                target=name,
                label=name,
                episode=segment.text("take_uid"),
                split=self.split,
                source="egoexo4d_keysteps",
            )
