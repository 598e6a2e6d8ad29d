"""Runs the tasks: small sets during fit, every test set at the end, with ``results.json`` and a table."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch import Tensor

from jepa_vl.callbacks.tensorboard import add_examples, add_projection
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.data.base import SINGLE_FRAME, SampleData
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, Objective
from jepa_vl.results import (
    Outcomes,
    Results,
    RunInfo,
    SetOutcomes,
    quantity,
    rich_tables,
    with_baseline,
)
from jepa_vl.runs import RECIPE
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result, Task
from jepa_vl.tasks.detailed import save_details

log = logging.getLogger(__name__)

SCORE_KEY = "val/score"
PROJECTED = 500  # samples shown in the embedding projector


class EvaluationCallback(Callback):
    """Asks the objective on behalf of every task, one pass over each sample set.

    During fit and ``validate`` it logs ``val/<task>/<metric>`` (``val/<task>/<group>/<metric>`` for a part
    of the samples) and ``val/score``, the mean of the tasks' headline numbers, by which the best checkpoint
    is kept. On ``test`` it writes ``results.json``, sample by sample ``outcomes.json``, and what tasks have
    to say beyond that (`jepa_vl.tasks.detailed`) to the run's folder, and prints a table for each set; a set
    whose clips are reduced to one frame becomes a baseline of the set it was made from.

    Args:
        tasks: What is measured; those that the objective has no ability for are left out, with a warning.
        data: The data module of the trainer.
        run_dir: Folder of the run.
        show: Whether tables are printed.

    Attributes:
        results: Rows by sample set, as of the last validation or test.
        outcomes: What each sample scored then.
    """

    def __init__(self, *, tasks: Sequence[Task], data: SampleData, run_dir: Path, show: bool = True) -> None:
        self.tasks = list(tasks)
        self.data = data
        self.run_dir = Path(run_dir)
        self.show = show
        self.results: dict[str, list[Result]] = {}
        self.outcomes = Outcomes()
        self._running: list[tuple[str, list[Task]]] = []
        self._projected: list[tuple[Sample, Tensor]] = []
        self._warned: set[str] = set()

    # -- validation

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with every validation set."""
        self._begin(pl_module, self.data.val_sets)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Give the batch to every task."""
        self._add(trainer, pl_module, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the results, unless this was Lightning's sanity check."""
        if trainer.sanity_checking:
            return
        self._finish(trainer)
        headlines = [rows[0].value for rows in self._by_task().values()]
        metrics = _scalars(self.results, main="val", prefix="val")
        pl_module.log_dict(metrics, logger=False, sync_dist=True)
        if not headlines:
            log.warning(
                "no task found anything to measure in %s; best.ckpt is the first one", self.data.val_sets
            )
        metrics[SCORE_KEY] = sum(headlines) / max(1, len(headlines))
        pl_module.log(SCORE_KEY, metrics[SCORE_KEY], prog_bar=True, logger=False, sync_dist=True)
        self._log(trainer, metrics)
        self._show(trainer, "val")
        if trainer.state.fn == "validate":
            trainer.validate_loop.verbose = False
            self._print(trainer)
        elif trainer.progress_bar_callback is not None and trainer.is_global_zero:
            trainer.progress_bar_callback.print(self._summary(trainer))

    def _by_task(self) -> dict[tuple[str, str], list[Result]]:
        found: dict[tuple[str, str], list[Result]] = {}
        for name, rows in self.results.items():
            for row in rows:
                found.setdefault((name, row.task), []).append(row)
        return found

    def _summary(self, trainer: Trainer) -> str:
        several = len(self.results) > 1
        parts = [
            f"{name + ' ' if several else ''}{task} {rows[0].metric} {quantity(rows[0].value, rows[0].unit)}"
            for (name, task), rows in self._by_task().items()
        ]
        return f"step {trainer.global_step} validated · " + " · ".join(parts)

    # -- test

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with every test set."""
        self._begin(pl_module, self.data.test_sets)
        trainer.test_loop.verbose = False  # the table says it better

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Give the batch to every task."""
        self._add(trainer, pl_module, batch, dataloader_idx, project=dataloader_idx == 0)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write, print and log the results."""
        self._finish(trainer)
        metrics = _scalars(self.results, main="test", prefix="test")
        pl_module.log_dict(metrics, logger=False, sync_dist=True)
        self._log(trainer, metrics)
        self._show(trainer, "test")
        self._project(trainer, pl_module)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            Results(run=self._run_info(trainer, pl_module), sets=self.results).save(
                self.run_dir / "results.json"
            )
            self.outcomes.save(self.run_dir / "outcomes.json")
            save_details(self.run_dir, dict(self._running))
        self._print(trainer)

    # -- both

    def examples(self, most: int = 8) -> dict[str, dict[str, list[Example]]]:
        """Return a few predictions of the last validation or test: set → task → examples of this rank."""
        return {name: {task.name: task.examples(most) for task in tasks} for name, tasks in self._running}

    def _begin(self, pl_module: LightningModule, names: Sequence[str]) -> None:
        assert isinstance(pl_module, Objective)
        able = []
        for task in self.tasks:
            if task.needs & pl_module.abilities:
                able.append(task)
            elif task.name not in self._warned:
                self._warned.add(task.name)
                log.warning(
                    "task %s is left out: it needs an objective that can %s, and %s can %s",
                    task.name,
                    " or ".join(sorted(task.needs)),
                    type(pl_module).__name__,
                    ", ".join(sorted(pl_module.abilities)) or "nothing",
                )
        try:
            train = self.data.sample_set(self.data.train_split).samples
        except UserError:  # data to be evaluated only have no such split, and no trained baselines
            train = []
        self._running = []
        self._projected = []
        for name in names:
            tasks = [copy.deepcopy(task) for task in able]
            for task in tasks:
                task.to(pl_module.device)
                task.bind(self.data.sample_set(name), labels=self.data.labels, train=train)
            self._running.append((name, tasks))

    def _add(
        self, trainer: Trainer, objective: LightningModule, batch: Batch, at: int, *, project: bool = False
    ) -> None:
        assert isinstance(objective, Objective)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            embeds = EMBED in objective.abilities and batch.has_media
            embedding = objective.embed_video(batch) if embeds else None
            for task in self._running[at][1]:
                task.update(objective, batch, embedding)
        if project and embedding is not None and trainer.is_global_zero:
            rows = [i for i, s in enumerate(batch.samples) if not s.query]
            self._projected += [(batch.samples[i], embedding[i].float().cpu()) for i in rows]

    def _finish(self, trainer: Trainer) -> None:
        computed = {name: [row for task in tasks for row in task.compute()] for name, tasks in self._running}
        self.outcomes = Outcomes(sets={name: _outcomes(tasks) for name, tasks in self._running})
        # a rank without samples computed nothing
        found: dict[str, list[Result]] = trainer.strategy.broadcast(computed)
        self.results = {}
        for name, rows in found.items():
            one_frame = found.get(f"{name}/{SINGLE_FRAME}")
            if one_frame is not None:
                rows = with_baseline(rows, one_frame, "single frame")
            if name.removesuffix(f"/{SINGLE_FRAME}") == name or name.rpartition("/")[0] not in found:
                self.results[name] = rows

    def _log(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=self._step(trainer))

    def _step(self, trainer: Trainer) -> int:
        # a test starts with no steps of its own; those of the checkpoint are what it is about
        return trainer.global_step or self._throughput(trainer).steps

    @staticmethod
    def _throughput(trainer: Trainer) -> Throughput:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        return next((c for c in callbacks if isinstance(c, Throughput)), Throughput())

    def _show(self, trainer: Trainer, stage: str) -> None:
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger) or not trainer.is_global_zero:
                continue
            for name, tasks in self._running:
                if name.endswith(SINGLE_FRAME):
                    continue
                samples = self.data.sample_set(name)
                for task in tasks:
                    tag = f"{stage}/{task.name}" if name == stage else f"{stage}/{name}/{task.name}"
                    add_examples(logger.experiment, tag, task.examples(), samples, step=self._step(trainer))

    def _project(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Objective)
        if not self._projected:
            return
        every = max(1, len(self._projected) // PROJECTED)
        shown = self._projected[::every][:PROJECTED]
        captions = list(dict.fromkeys(sample.target for sample, _ in shown))
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            text = pl_module.embed_text(captions).float().cpu()
        video = torch.stack([embedding for _, embedding in shown])
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                add_projection(
                    logger.experiment,
                    videos=([sample for sample, _ in shown], video),
                    texts=(captions, text),
                    step=self._step(trainer),
                )

    def _run_info(self, trainer: Trainer, pl_module: LightningModule) -> RunInfo:
        recipe = self.run_dir / RECIPE
        counts = self._throughput(trainer)
        return RunInfo.here(
            name=self.run_dir.name,
            model=pl_module,
            recipe=yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.exists() else None,
            processes=trainer.world_size,
            data_hash=self.data.data_hash,
            samples_seen=counts.samples,
            steps=counts.steps,
            train_seconds=round(counts.seconds, 3),
            tasks={task.name: task.options() for task in self.tasks},
        )

    def _print(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero or not self.show:
            return
        console = Console(highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console = Console(highlight=False, width=160)  # no column is cut in a log
        for name, rows in self.results.items():
            if rows:
                console.print(rich_tables(name, rows))


def _outcomes(tasks: Sequence[Task]) -> SetOutcomes:
    """What each sample scored in the tasks of one set."""
    scored = {task.name: found for task in tasks if (found := task.outcomes())}
    ids = {i for metrics in scored.values() for values in metrics.values() for i in values}
    samples = {s.id: s.episode for task in tasks for s in getattr(task, "samples", [])}
    episodes = {i: episode for i in sorted(ids) if (episode := samples.get(i)) is not None}
    return SetOutcomes(episodes=episodes, tasks=scored)


def _scalars(results: dict[str, list[Result]], *, main: str, prefix: str) -> dict[str, float]:
    """Name every row: ``prefix/task/metric``, with the set's name where it is another than ``main``."""
    found = {}
    for name, rows in results.items():
        start = prefix if name == main or len(results) == 1 else f"{prefix}/{name}"
        for row in rows:
            parts = (
                [start, row.task, row.metric]
                if row.group == "all"
                else [start, row.task, row.group, row.metric]
            )
            found["/".join(parts).replace(" ", "_")] = row.value
    return found
