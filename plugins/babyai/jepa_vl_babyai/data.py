"""The data module ``babyai``: renders the clips once, then serves them as any other manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jepa_vl.cache import cache_dir
from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.progress import track
from jepa_vl_babyai.render import manifest_files, render_dataset, scene_files, settings_hash
from jepa_vl_babyai.settings import Settings
from jepa_vl_babyai.telling import Telling, tell


class BabyAIData(ManifestData):
    """Clips of events in BabyAI's grid worlds with captions, class names and three kinds of questions.

    Splits are `train`, `val`, `test` and `novel` (combinations of verb, colour and kind that none of the
    others has). They are rendered once into the user's cache.

    ``wording`` and ``label_noise`` change what training texts say, for studies of surface wording: clips,
    frames, classes, questions, order and ids stay the same, and cached features are shared. Evaluation
    texts never depend on either, so that one number can be compared across their values. For that set
    ``evaluation_wording: 1``: this plain wording is part of every ``wording``, so that every model has read
    it. Classification and VQA depend on no caption. CIDEr does: who has learnt 30 wordings is right to
    choose one that the reference has not, and loses; the task ``babyai_told`` reads captions of any wording.

    Args:
        world_seed: Of the worlds and everything that happens in them.
        train_clips: Clips of split `train`.
        val_clips: Clips of split `val`.
        test_clips: Clips of split `test`.
        novel_clips: Clips of split `novel`.
        num_frames: Frames of a clip, one step of the world apart.
        view: Height and width of what is seen, in cells.
        tile: Height and width of a cell, in pixels.
        scenes: Whether each clip also brings a description of everything in sight, asked for by "describe
            this video in detail."
        wording: In how many ways the training captions say the same, from 1 (``the agent picks up the red
            ball``) to 140, by word order, tense, subject, verb and nouns; the usual two or three by default.
            The ways of a smaller number are among those of a larger one.
        evaluation_wording: The same for the captions of all other splits.
        label_noise: Share of the training clips whose caption, class and attribute question are those of
            another clip, of another class; their ``source`` names it.
        render_workers: Processes that render; as many as there are processors by default.
    """

    def __init__(
        self,
        *,
        world_seed: int = 0,
        train_clips: int = 6000,
        val_clips: int = 300,
        test_clips: int = 600,
        novel_clips: int = 200,
        num_frames: int = 4,
        view: int = 8,
        tile: int = 8,
        scenes: bool = False,
        wording: int | None = None,
        evaluation_wording: int | None = None,
        label_noise: float = 0.0,
        render_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.settings = Settings(
            seed=world_seed,
            train_clips=train_clips,
            val_clips=val_clips,
            test_clips=test_clips,
            novel_clips=novel_clips,
            num_frames=num_frames,
            view=view,
            tile=tile,
        )
        self.telling = Telling(
            wording=wording, evaluation_wording=evaluation_wording, label_noise=label_noise
        )
        self.scenes = scenes
        self.render_workers = render_workers or os.cpu_count() or 1
        super().__init__(manifest=[], root=None, **kwargs)

    @property
    def folder(self) -> Path:
        """Where the data is."""
        return cache_dir("data") / f"babyai-{settings_hash(self.settings)}"

    def make(self) -> None:
        """Render the data, and write its texts, unless they are there."""
        render_dataset(
            self.settings,
            self.folder,
            workers=self.render_workers,
            progress=lambda steps, total: track(steps, total=total, what="rendering BabyAI clips"),
        )
        tell(manifest_files(self.settings, self.folder), self.telling, seed=self.settings.seed)

    def manifests(self) -> list[Path]:
        """Return the manifests of each split."""
        more = scene_files(self.settings, self.folder) if self.scenes else []
        return [*map(self.telling.file, manifest_files(self.settings, self.folder)), *more]
