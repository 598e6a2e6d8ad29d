"""One arm with one seed: train, evaluate the milestones, train and evaluate its decoder."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from jepa_vl.callbacks.finite_loss import DivergedError
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.cli.build import Parts
from jepa_vl.compare.costs.first_batch import FirstBatch
from jepa_vl.compare.costs.training import peak_memory_mib, reset_peak_memory
from jepa_vl.compare.records import RunRecord
from jepa_vl.compare.runs.decoder import finish_decoder
from jepa_vl.compare.runs.evaluate import evaluate_milestones
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.milestones import Milestones, milestones
from jepa_vl.compare.runs.parts import build_parts, fit
from jepa_vl.compare.runs.run_state import read_record, write_record
from jepa_vl.results.run_info import machine, source_commit
from jepa_vl.runs import make_room

log = logging.getLogger(__name__)


def run_job(job: Job) -> RunRecord:
    """Do what is left of a run, and return its record.

    A run that was made by another recipe is put aside first.

    Raises:
        KeyboardInterrupt: It was stopped; the same call goes on.
        UserError: It cannot be done for a reason that the user can mend.
    """
    record = _begin(job)
    if record.state in ("training", "evaluating"):
        parts, recipe = build_parts(job.values)
        if record.state == "training":
            _train(job, parts, recipe, record)
            record.state = "evaluating"
            write_record(job.folder, record)
        evaluate_milestones(job, parts, diverged=bool(record.message))
        record.state = "diverged" if record.message else "finished"
        write_record(job.folder, record)
    if job.decoder is not None and record.state == "finished":
        counts = {"samples": record.samples, "steps": record.steps, "seconds": record.train_seconds}
        finish_decoder(job, counts=counts)
    return record


def fail(job: Job, message: str) -> None:
    """Write into the record why a run could not be finished; one that diverged stays that."""
    record = read_record(job.folder)
    if record is None or record.key != job.key:
        record = RunRecord(arm=job.arm, seed=job.seed, key=job.key, state="failed")
    diverged = record.state == "evaluating" and record.message
    record.state = "diverged" if diverged else "failed"
    record.message = record.message if diverged else message
    write_record(job.folder, record)


def _begin(job: Job) -> RunRecord:
    """Return the record to go on with: that of the same run, or a new one."""
    record = read_record(job.folder)
    if record is not None and record.key != job.key:
        kept = make_room(job.folder)
        if kept is not None:
            log.info("another recipe made this run before; that one is now %s", kept)
        record = None
    if record is None:
        record = RunRecord(arm=job.arm, seed=job.seed, key=job.key, state="training")
    elif record.state == "failed":
        # the steps are written when all are done
        record.state, record.message = ("evaluating" if record.steps else "training"), ""
    elif record.state == "diverged" and milestones(job.folder / "checkpoints"):
        record.state = "evaluating"
    record.machine, record.commit = machine(), source_commit()
    record.date = datetime.now(UTC).isoformat(timespec="seconds")
    job.save()
    write_record(job.folder, record)
    return record


def _train(job: Job, parts: Parts, recipe: str, record: RunRecord) -> None:
    """Train to the end, or until the loss is no number, and fill in the record."""
    first, counts = FirstBatch(record), Throughput()
    callbacks = [first, counts, Milestones(folder=job.folder / "checkpoints", budgets=job.budgets)]
    reset_peak_memory()
    try:
        fit(parts, callbacks, folder=job.folder, name=job.name, recipe=recipe)
    except DivergedError as error:
        record.message = str(error)
        log.warning("diverged: %s", error)
    record.steps, record.samples = counts.steps, counts.samples
    record.train_seconds = round(counts.seconds, 3)
    record.epochs = round(counts.samples / max(1, len(parts.data.sample_set(parts.data.train_split))), 4)
    record.peak_memory_mib = round(peak_memory_mib(), 1)
