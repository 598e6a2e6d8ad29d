"""What ``jepa-vl prepare`` does once its command line is read: build what is needed, prepare, report."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_only

from jepa_vl.cli.argv import read_argv
from jepa_vl.cli.build import Parts, build, make_parser, parse
from jepa_vl.cli.run import quiet
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.preparing import MIB, Preparation, prepare
from jepa_vl.data.shards.store import open_store
from jepa_vl.errors import RecipeError
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.merge import with_value
from jepa_vl.recipe.resolve import resolve
from jepa_vl.vision.base import Preprocessing, VisionEncoder

#: Of a recipe's trainer, what says on which machines it runs.
DEVICES = ("accelerator", "devices", "num_nodes", "strategy")
ALONE = {"accelerator": "cpu", "devices": 1}


def run(options: argparse.Namespace, recipe: Sequence[str]) -> int:
    """Prepare what the command line says; returns the exit status.

    Raises:
        UserError: What the user can mend.
    """
    quiet()
    preparation = _from_recipe(options, recipe) if recipe else _from_manifest(options)
    preparation.shard_size = options.shard_mib * MIB
    preparation.batch_size = options.batch_size
    preparation.num_workers = _workers(options, preparation)
    if options.max_bad is not None:
        preparation.max_bad = options.max_bad
    done = prepare(preparation, open_store(options.output))
    if done is not None:
        _say(f"{options.output}: {done}")
    return 0


def _from_manifest(options: argparse.Namespace) -> Preparation:
    """Pictures of a manifest, without a recipe."""
    return Preparation(
        catalogue=Catalogue(options.manifest),
        preprocessing=Preprocessing(size=(options.size, options.size), num_frames=options.frames),
        kind=_frames(options),
        trainer=ALONE,
    )


def _from_recipe(options: argparse.Namespace, words: Sequence[str]) -> Preparation:
    """Pictures for a recipe's vision encoder, or its tokens."""
    parts = _build(options, words)
    data, encoder = parts.data, parts.objective.vision_encoder
    if not isinstance(data, ManifestData):
        raise RecipeError(
            f"the recipe's data are {type(data).__name__}, which reads no manifest; give a MANIFEST"
        )
    if encoder is None:
        raise RecipeError("the recipe's objective reads texts alone: there are no clips to prepare")
    data.make()
    catalogue = Catalogue(data.manifests(), root=data.root)
    trainer = {key: value for key, value in parts.trainer.items() if key in DEVICES and value is not None}
    if not options.features:
        return Preparation(
            catalogue=catalogue,
            preprocessing=encoder.preprocessing,
            kind=_frames(options),
            max_bad=data.max_bad_media,
            trainer=trainer if trainer.get("accelerator") == "cpu" else ALONE,  # no GPU has a part in it
        )
    if not encoder.frozen:
        raise RecipeError(
            f"--features: the recipe trains its vision encoder ({type(encoder).__name__}), whose tokens "
            "change; freeze it, or prepare pictures"
        )
    tested = data.test_splits if data.single_frame_baseline else []
    return Preparation(
        catalogue=catalogue,
        preprocessing=encoder.preprocessing,
        kind=_features(encoder, options.dtype or "bfloat16"),
        encoder=encoder,
        stills=[split for split in tested if split in catalogue.splits and catalogue.is_seen(split)],
        max_bad=data.max_bad_media,
        trainer=trainer,
    )


def _build(options: argparse.Namespace, words: Sequence[str]) -> Parts:
    """Build all of a recipe, exactly as a fit does, so that an encoder without given weights is the same."""
    typed = read_argv(words)
    overrides = list(typed.overrides)
    if options.manifest:
        manifest = {"class_path": "manifest", "init_args": {"manifest": options.manifest}}
        overrides.insert(0, ("data", json.dumps(manifest)))
    recipe = load_recipe(typed.configs, overrides)
    if options.pool is not None:
        inner = (recipe.values.get("objective") or {}).get("init_args", {}).get("vision_encoder")
        pooled = {"class_path": "pooled", "init_args": {"vision_encoder": inner, "pool": options.pool}}
        recipe = with_value(recipe, "objective.vision_encoder", pooled, "--pool")
    parser = make_parser()
    return build(parser, parse(parser, resolve(recipe)))


def _frames(options: argparse.Namespace) -> Frames:
    return Frames(codec="png") if options.lossless else Frames(quality=options.quality or 95)


def _features(encoder: VisionEncoder, dtype: str) -> Features:
    return Features.model_validate(
        {
            "encoder": type(encoder).__name__,
            "fingerprint": encoder.fingerprint(),
            "grid": encoder.grid,
            "dim": encoder.dim,
            "dtype": dtype,
        }
    )


def _workers(options: argparse.Namespace, preparation: Preparation) -> int:
    """Reading processes: as many as there are processors for each process; none where that is one."""
    if options.workers is not None:
        return int(options.workers)
    devices = preparation.trainer.get("devices", 1)
    share = len(os.sched_getaffinity(0)) // (devices if isinstance(devices, int) and devices > 0 else 1)
    return share if share > 1 else 0


@rank_zero_only
def _say(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
