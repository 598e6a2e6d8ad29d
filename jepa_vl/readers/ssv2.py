"""Something-Something v2: what a hand does with objects, told by 174 templates."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "something-something-v2-validation.json: a list of {id, label, template, placeholders}"
LABELS_VERSION = "something-something-v2-labels.json: an object of class name → number"


class SSv2(Reader):
    """Something-Something v2, one clip a sample; the label is the template without its brackets.

    Args:
        annotations: ``something-something-v2-validation.json`` (``validation.json`` in later downloads).
        labels: ``something-something-v2-labels.json``; when given, every template must be one of its classes.
        split: Name of the split in the manifest.
    """

    about = About(
        title="Something-Something v2",
        task="classification",
        split="validation",
        metric="top-1 accuracy over 174 classes",
        homepage="https://www.qualcomm.com/developer/software/something-something-v-2-dataset",
        licence="Qualcomm's own, research only; videos are downloaded after registration",
        expected={"val": 24_777},
        assumptions=(
            "A class name is the template without its brackets, as the official list of labels writes it: "
            "'Spinning [something] that quickly stops spinning' is 'Spinning something that quickly stops "
            "spinning'.",
            "The names of the objects (`placeholders`) are not used: the classes are the templates.",
        ),
    )

    def __init__(self, *, annotations: str, labels: str | None = None, split: str = "val") -> None:
        self.annotations = annotations
        self.labels = labels
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a clip."""
        classes = None
        if self.labels is not None:
            classes = [name for name, _ in read_json(self.labels, LABELS_VERSION).items()]
        for entry in read_json(self.annotations, VERSION).entries():
            name = entry.text("template").replace("[", "").replace("]", "")
            if classes is not None:
                entry.at("template").one_of(name, classes)
            video = entry.text("id")
            yield Sample(
                id=f"ssv2/{video}",
                media=f"{video}.webm",
                target=name,
                label=name,
                episode=video,
                split=self.split,
                source="ssv2",
            )
