"""`ProbeSystem`: V-JEPA 2 with an attentive probe, for the closed vocabulary it was trained on."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from transformers import AutoVideoProcessor, VJEPA2ForVideoClassification

from jepa_vl.errors import RecipeError, UserError, nearest
from jepa_vl.objectives.base import SCORE
from jepa_vl.objectives.system import System
from jepa_vl.pretrained.weights import load_hf
from jepa_vl.sample import Batch
from jepa_vl.vision.hf_vision import HFVision

log = logging.getLogger(__name__)


class ProbeSystem(System):
    """A frozen V-JEPA 2 and the attentive probe that was trained on its tokens, of transformers.

    It knows its own labels and no others: a text's score is the log-probability of the label that it is,
    whatever its case, its spaces and its punctuation.

    Args:
        model: Hub name or local folder of a ``VJEPA2ForVideoClassification``.
        num_frames: Frames of a clip; what the probe was trained with if omitted.
        unknown: What happens to a text that is no label of the probe: an ``error``, or the score -∞
            (``never``), with a count of such texts in the log.
        dtype: Precision of the encoder; the probe computes in float32.

    Raises:
        RecipeError: The model is no V-JEPA 2, or a number of frames it cannot take.
        UserError: The model cannot be fetched, or the checkpoint has no probe.
    """

    vision_encoder: HFVision
    abilities = frozenset({SCORE})

    def __init__(
        self,
        *,
        model: str = "facebook/vjepa2-vitl-fpc16-256-ssv2",
        num_frames: int | None = None,
        unknown: Literal["error", "never"] = "error",
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    ) -> None:
        super().__init__()
        whole, info = load_hf(VJEPA2ForVideoClassification.from_pretrained, model, output_loading_info=True)
        if whole.config.model_type != "vjepa2":
            raise RecipeError(f"objective.model: '{model}' is a '{whole.config.model_type}', no V-JEPA 2")
        missing = sorted(info["missing_keys"])
        if missing:
            raise UserError(f"'{model}' has no probe: its checkpoint lacks '{missing[0]}'")
        self.vision_encoder = _encoder(model, num_frames or int(whole.config.frames_per_clip), dtype)
        self.pooler = whole.pooler.requires_grad_(False).eval()
        self.classifier = whole.classifier.requires_grad_(False).eval()
        self.unknown = unknown
        self.labels = {_plain(name): i for i, name in whole.config.id2label.items()}
        self._told: set[str] = set()

    @torch.no_grad()
    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Log-probability, among the probe's labels, of each candidate.

        Raises:
            UserError: A candidate is no label of the probe, and ``unknown`` is ``error``.
        """
        tokens = self.visual_tokens(batch).float()  # [B, N, D]
        said = self.classifier(self.pooler(tokens)).log_softmax(dim=-1)  # [B, labels]
        known = torch.cat((said, torch.full_like(said[:, :1], -torch.inf)), dim=1)  # the last: unknown
        self._check({text for texts in candidates for text in texts})
        place = {text: self.labels.get(_plain(text), -1) for texts in candidates for text in texts}
        return [row[[place[text] for text in texts]] for row, texts in zip(known, candidates, strict=True)]

    def _check(self, texts: set[str]) -> None:
        strange = sorted(text for text in texts if _plain(text) not in self.labels)
        if strange and self.unknown == "error":
            near = nearest(_plain(strange[0]), self.labels) or sorted(self.labels)[:3]
            raise UserError(
                f"{len(strange)} of {len(texts)} texts are no labels of the probe, first '{strange[0]}'; it "
                f"knows {len(self.labels)}, such as {', '.join(near)}; 'unknown: never' passes over the rest"
            )
        new = set(strange) - self._told
        if new:
            self._told |= new
            log.warning("%d texts are no labels of the probe and never chosen: '%s'", len(new), min(new))


def _encoder(model: str, num_frames: int, dtype: Literal["float32", "bfloat16", "float16"]) -> HFVision:
    """Return the encoder, reading frames as the probe's own processor does: resized, then cut."""
    encoder = HFVision(model=model, num_frames=num_frames, dtype=dtype)
    side = load_hf(AutoVideoProcessor.from_pretrained, model).size["shortest_edge"]
    encoder.preprocessing = replace(encoder.preprocessing, resize_to=side)
    return encoder


def _plain(label: str) -> str:
    """Small letters and digits, a space between words."""
    return " ".join(re.findall(r"\w+", label.lower()))
