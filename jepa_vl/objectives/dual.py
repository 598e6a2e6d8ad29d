"""`DualSystem`: CLIP, SigLIP 2 and Perception Encoder, frame by frame (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.objectives.system import System, cosine_scores
from jepa_vl.sample import Batch
from jepa_vl.vision.base import Preprocessing
from jepa_vl.vision.image_tower import ImageTower

TEXTS_AT_ONCE = 256


class DualSystem(System):
    """A frame-averaged dual encoder of open_clip.

    Frames are encoded one by one; their unit vectors are averaged and brought back to unit length. It has
    no input for a query: a question with a video is answered by the answer text nearest to the video.

    Args:
        model: Architecture of open_clip (``ViT-L-14-quickgelu``), a folder with ``open_clip_config.json``
            and weights, or a hub name ``owner/model``.
        pretrained: Tag of the weights (``openai``), or a file of them; for an architecture only.
        num_frames: Frames of a clip (8 in the paper).

    Raises:
        RecipeError: No such architecture or tag, or a number of frames below 1.
        UserError: open_clip is not installed, or the weights cannot be had.
    """

    vision_encoder: ImageTower
    abilities = frozenset({EMBED, SCORE})

    def __init__(
        self,
        *,
        model: str = "ViT-L-14-quickgelu",
        pretrained: str | None = "openai",
        num_frames: int = 8,
    ) -> None:
        super().__init__()
        if num_frames < 1:
            raise RecipeError(f"objective.num_frames must be at least 1, found {num_frames}")
        loaded, self.tokenizer, self.embed_dim = _load(model, pretrained)
        tower, seen = loaded.visual, loaded.visual.preprocess_cfg
        loaded.visual = nn.Identity()  # what is left encodes texts
        self.text_tower = loaded.requires_grad_(False).eval()
        size = seen["size"]
        self.vision_encoder = ImageTower(
            tower=tower,
            dim=self.embed_dim,
            preprocessing=Preprocessing(
                size=(size, size) if isinstance(size, int) else tuple(size),
                num_frames=num_frames,
                mean=tuple(seen["mean"]),
                std=tuple(seen["std"]),
                interpolation=seen["interpolation"],
                resize_mode=seen["resize_mode"],
            ),
        )

    def embed_video(self, batch: Batch) -> Tensor:
        """Average over the frames: unit vectors ``[B, E]``. The query is not looked at."""
        return F.normalize(self.visual_tokens(batch).float().mean(dim=1), dim=-1)  # [B, T, E] → [B, E]

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts: unit vectors ``[K, E]``."""
        blocks = [
            self.text_tower.encode_text(self.tokenizer(list(texts[i : i + TEXTS_AT_ONCE])).to(self.device))
            for i in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        if not blocks:
            return torch.zeros(0, self.embed_dim, device=self.device)
        return F.normalize(torch.cat(blocks).float(), dim=-1)

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Cosine of each video and its candidates."""
        return cosine_scores(self.embed_video(batch), candidates, self.embed_text)


def _load(model: str, pretrained: str | None) -> tuple[Any, Any, int]:
    """Return model, tokenizer and E, with pretrained weights or not at all."""
    try:
        import open_clip
    except ImportError as error:
        raise UserError(f"dual encoders need open_clip ({error}); pip install open-clip-torch") from error
    name = _source(open_clip, model, pretrained)
    try:
        loaded = open_clip.create_model(
            name,
            pretrained=pretrained if name == model else None,
            pretrained_text=False,
            require_pretrained=True,
        )
        return loaded, open_clip.get_tokenizer(name), int(open_clip.get_model_config(name)["embed_dim"])
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        weights = f" with weights '{pretrained}'" if name == model else ""
        raise UserError(f"cannot load the dual encoder '{model}'{weights}: {reason}") from error


def _source(open_clip: Any, model: str, pretrained: str | None) -> str:
    """Return the model's name as open_clip wants it.

    Raises:
        RecipeError: There is no such architecture, or no such weights for it.
    """
    if Path(model).expanduser().is_dir():
        return f"local-dir:{Path(model).expanduser()}"
    known = open_clip.list_models()
    if model in known:
        tags = open_clip.list_pretrained_tags_by_model(model)
        if pretrained is None or (pretrained not in tags and not Path(pretrained).is_file()):
            raise RecipeError(
                f"objective.pretrained: '{pretrained}' names no weights of '{model}'; "
                f"{did_you_mean(str(pretrained), tags)}"
            )
        return model
    if model.count("/") == 1 and not model.startswith((".", "~", "/")):
        return f"hf-hub:{model}"
    raise RecipeError(
        f"objective.model: no dual encoder '{model}': expected an architecture of open_clip, an existing "
        f"folder, or a hub name 'owner/model'; among the architectures, {did_you_mean(model, known)}"
    )
