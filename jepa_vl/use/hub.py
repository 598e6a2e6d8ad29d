"""`HubModel`: saving and loading in the way of the Hugging Face hub, without its pickles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from huggingface_hub import ModelHubMixin

if TYPE_CHECKING:
    from jepa_vl.use.model import Model


class HubModel(
    ModelHubMixin,
    library_name="jepa-vl",
    tags=["video", "vision-language", "jepa"],
    paper_url="https://arxiv.org/abs/2512.10942",
):
    """What `Model` has from the hub: `save_pretrained`, `push_to_hub` and `from_pretrained`."""

    def _save_pretrained(self, save_directory: Path) -> None:
        from jepa_vl.use.export import write_folder

        write_folder(cast("Model", self), save_directory)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        **options: Any,
    ) -> Self:
        """Load what `save_pretrained` wrote, from a folder or from the hub.

        Args:
            pretrained_model_name_or_path: Folder, or hub id ``owner/model``.
            revision: Branch, tag or commit on the hub.
            token: Of the hub, for a private model.
            **options: ``decoder`` as `load` takes it, ``device``, ``batch_size`` and ``progress``.

        Raises:
            UserError: There is no such model, or a part of it is missing, damaged or another one here.
        """
        from jepa_vl.use.export import fetch, read_folder

        place = pretrained_model_name_or_path
        folder = Path(place) if Path(place).is_dir() else fetch(str(place), revision=revision, token=token)
        return read_folder(cls, folder, **options)
