"""Small prepared sets, of the manifests and encoders of tests/data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.preparing import Preparation, prepare
from jepa_vl.data.shards.store import open_store

TWO_CLIPS = 24  # bytes of a shard of two clips of the tiny encoder's tokens, in bfloat16

Prepare = Callable[..., Path]


def preparation(
    manifest: Path,
    encoder: Any,
    *,
    features: bool = True,
    stills: tuple[str, ...] = ("test",),
    **options: Any,
) -> Preparation:
    """What is to be prepared; the kind of numbers or pictures among the options."""
    if features:
        kind: Features | Frames = Features(
            encoder=type(encoder).__name__,
            fingerprint=encoder.fingerprint(),
            grid=encoder.grid,
            dim=encoder.dim,
            dtype=options.pop("dtype", "bfloat16"),
        )
    else:
        kind = options.pop("frames", Frames(codec="png"))
        stills = ()
    return Preparation(
        catalogue=Catalogue([manifest]),
        preprocessing=encoder.preprocessing,
        kind=kind,
        encoder=encoder if features else None,
        stills=stills,
        **{"shard_size": TWO_CLIPS if features else 300, **options},
    )


@pytest.fixture
def prepare_set(tmp_path: Path, objective: Any) -> Prepare:
    """``prepare_set(manifest, features=…, output=…)`` → the folder of the set."""

    def make(manifest: Path, *, output: str = "set", encoder: Any = None, **options: Any) -> Path:
        encoder = encoder or objective.vision_encoder
        prepare(preparation(manifest, encoder, **options), open_store(tmp_path / output))
        return tmp_path / output

    return make
