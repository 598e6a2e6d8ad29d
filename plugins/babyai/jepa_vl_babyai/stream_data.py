"""The data module ``babyai_streams``: renders annotated streams once, then serves them as any manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jepa_vl.cache import cache_dir
from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.progress import track
from jepa_vl_babyai.stream_render import render_streams, stream_files, stream_hash
from jepa_vl_babyai.stream_settings import StreamSettings


class BabyAIStreams(ManifestData):
    """Minutes of BabyAI's grid worlds, four frames a second, every event annotated with its time.

    `train` has windows of a second with a text, of events and of what lies between them; `test` has the
    annotations (kind ``stream``) and wordless windows, every half second; `val` has all of that. They are
    rendered once into the user's cache.

    Args:
        world_seed: Of the worlds and everything that happens in them.
        train_streams: Streams of split `train`.
        val_streams: Streams of split `val`.
        test_streams: Streams of split `test`.
        shortest: Seconds of the shortest stream.
        longest: Seconds of the longest one, about.
        view: Height and width of what is seen, in cells.
        tile: Height and width of a cell, in pixels.
        render_workers: Processes that render; as many as there are processors by default.
        single_frame_baseline: Whether each test split is evaluated a second time with the middle frame only.
    """

    def __init__(
        self,
        *,
        world_seed: int = 0,
        train_streams: int = 120,
        val_streams: int = 20,
        test_streams: int = 100,
        shortest: float = 120.0,
        longest: float = 240.0,
        view: int = 8,
        tile: int = 8,
        render_workers: int | None = None,
        single_frame_baseline: bool = False,
        **kwargs: Any,
    ) -> None:
        self.settings = StreamSettings(
            seed=world_seed,
            train_streams=train_streams,
            val_streams=val_streams,
            test_streams=test_streams,
            shortest=shortest,
            longest=longest,
            view=view,
            tile=tile,
        )
        self.render_workers = render_workers or os.cpu_count() or 1
        super().__init__(manifest=[], root=None, single_frame_baseline=single_frame_baseline, **kwargs)

    @property
    def folder(self) -> Path:
        """Where the data is."""
        return cache_dir("data") / f"babyai-streams-{stream_hash(self.settings)}"

    def make(self) -> None:
        """Render the data, unless it is there."""
        render_streams(
            self.settings,
            self.folder,
            workers=self.render_workers,
            progress=lambda steps, total: track(steps, total=total, what="rendering BabyAI streams"),
        )

    def manifests(self) -> list[Path]:
        """Return the manifests of each split."""
        return stream_files(self.settings, self.folder)
