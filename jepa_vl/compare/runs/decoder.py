"""The decoder of an arm: trained on a finished run, which then says its captions a second time."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from typing import Any

from jepa_vl.checkpoint import read_checkpoint
from jepa_vl.compare.runs.evaluate import RESULTS, evaluate, headlines
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.parts import build_parts, fit
from jepa_vl.decoders.given import with_decoder
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.runs import make_room
from jepa_vl.tasks.captioning import CaptioningTask

log = logging.getLogger(__name__)

KEY = "key.json"
#: Of the decoder's own recipe; what it learns from is the run's data.
OWN_DATA = ("batch_size", "eval_batch_size", "single_frame_baseline", "mixture")
MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision")


def decoder_values(file: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the resolved recipe of a run's decoder: the run's data, machine and seed, else the file's.

    Args:
        file: The decoder's recipe.
        name: Name of the run that it is for.
        values: Resolved recipe of the run.

    Raises:
        RecipeError: The recipe is wrong.
    """
    overrides = [("objective.model", f"runs/{name}"), ("name", f"{name}/decoder")]
    decoder = resolve(load_recipe([file], overrides))
    data = copy.deepcopy(values["data"])
    if decoder["data"]["class_path"] == data["class_path"]:
        own = decoder["data"].get("init_args") or {}
        data["init_args"] |= {key: own[key] for key in OWN_DATA if key in own}
        if "mixture" not in own:
            data["init_args"].pop("mixture", None)
    machine = {k: values["trainer"][k] for k in MACHINE if values["trainer"].get(k) is not None}
    plugins = list(dict.fromkeys([*(values.get("plugins") or []), *(decoder.get("plugins") or [])]))
    return {
        **decoder,
        "data": data,
        "trainer": decoder["trainer"] | machine,
        "plugins": plugins,
        "seed_everything": values["seed_everything"],
    }


def decoder_finished(job: Job) -> bool:
    """Whether the decoder of this very run and recipe is there, trained and evaluated."""
    return _state(job) == {"key": job.decoder_key, "finished": True}


def finish_decoder(job: Job, *, counts: Mapping[str, Any]) -> None:
    """Train the decoder of a finished run and say the captions of every test set with it.

    Args:
        job: The run.
        counts: Samples, steps and seconds that the run was trained for.

    Raises:
        KeyboardInterrupt: It was stopped; the same call goes on.
        UserError: It cannot be trained, or the arm takes no decoder.
    """
    assert job.decoder is not None
    if decoder_finished(job):
        return
    folder = job.folder / "decoder"
    if _state(job).get("key") != job.decoder_key:
        make_room(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write(job, finished=False)
    log.info("training the decoder")
    parts, recipe = build_parts(job.decoder)
    fit(parts, [], folder=folder, name=f"{job.name}/decoder", recipe=recipe, best=True)
    # the run's own weights hold what the objective has learned; the decoder brings its own
    parts, _ = build_parts({**with_decoder(job.values, folder), "init_from": None})
    last = job.folder / "checkpoints" / "last.ckpt"
    parts.objective.load_state_dict(read_checkpoint(last)["state_dict"])
    tasks = [task for task in parts.tasks if isinstance(task, CaptioningTask)] or [CaptioningTask()]
    evaluate(
        parts.objective,
        parts.data,
        tasks,
        job=job,
        options=parts.trainer,
        place=folder,
        counts=counts,
    )
    _write(job, finished=True)
    log.info("decoder evaluated · %s", headlines(folder / RESULTS))


def _state(job: Job) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((job.folder / "decoder" / KEY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _write(job: Job, *, finished: bool) -> None:
    text = json.dumps({"key": job.decoder_key, "finished": finished})
    (job.folder / "decoder" / KEY).write_text(text + "\n", encoding="utf-8")
