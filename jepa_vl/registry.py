"""Names → classes: the decorator, installed entry points and local plugin files, in one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A kind of swappable part.

    Attributes:
        name: Short name, and the end of its entry-point group ``jepa_vl.<name>``.
        keys: Recipe keys under which such a part is named, wherever they stand.
        base: ``module:Class`` of the contract.
    """

    name: str
    keys: tuple[str, ...]
    base: str

    @property
    def entry_point_group(self) -> str:
        """The entry-point group in a distribution's metadata."""
        return f"jepa_vl.{self.name}"


GROUPS: dict[str, Group] = {
    g.name: g
    for g in (
        Group("vision", ("vision_encoder",), "jepa_vl.vision.base:VisionEncoder"),
        Group("predictors", ("predictor",), "jepa_vl.predictors.base:Predictor"),
        Group("text", ("text_encoder",), "jepa_vl.text.base:TextEncoder"),
        Group("language", ("language_model",), "jepa_vl.language.base:LanguageModel"),
        Group("decoders", ("decoder",), "jepa_vl.decoders.base:TextDecoder"),
        Group("losses", ("loss",), "jepa_vl.losses.base:Loss"),
        Group("objectives", ("objective",), "jepa_vl.objectives.base:Objective"),
        Group("data", ("data",), "jepa_vl.data.base:SampleData"),
        Group("tasks", ("tasks",), "jepa_vl.tasks.base:Task"),
        # not a class: a function that returns the folder of a Hugging Face model on this machine
        Group("weights", (), "jepa_vl.weights:WeightsSource"),
    )
}
