"""What ``jepa-vl compare`` does once its command line is read: prove, tune, run, measure, report."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence

from rich.console import Console

from jepa_vl.cli.compare import Wanted
from jepa_vl.cli.run import INTERRUPTED, quiet
from jepa_vl.compare.control.proof import control_sheet, without_start
from jepa_vl.compare.control.table import control_tables
from jepa_vl.compare.costs.arm_costs import measure_arms
from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.records import comparison_folder
from jepa_vl.compare.runs.run_state import read_record
from jepa_vl.compare.runs.runner import Done, plan, run
from jepa_vl.compare.runs.tuning import as_tuned, tune
from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.results.run_info import command_line

log = logging.getLogger(__name__)


def compare(wanted: Wanted) -> int:
    """Do what was asked for; returns the exit status.

    Raises:
        RecipeError: The recipe is wrong, or the control is refused.
        UserError: The data cannot be read, or no trial gave a score.
    """
    quiet()
    written = load_comparison(wanted.config, wanted.overrides)
    _check_names(wanted, written)
    comparison = as_tuned(written)
    if wanted.report:
        return _report(comparison)
    _prove(comparison, wanted.arms)
    if wanted.check:
        return 0
    arms = wanted.arms or [arm.name for arm in comparison.arms]
    everything = not (wanted.arms or wanted.seeds)
    command = command_line(sys.argv)
    try:
        tune(written, arms, command=command, say=_say)
        if (tuned := as_tuned(written)) != comparison:
            comparison = tuned
            _prove(comparison, wanted.arms, again=True)
        done = run(comparison, arms, wanted.seeds or None, command=command, say=_say)
        if everything:
            measure_arms(comparison.name, plan(comparison, None, None), say=_say)
    except KeyboardInterrupt:
        _say(f"stopped; go on with: {how_to_go_on(wanted)}", error=True)
        return INTERRUPTED
    failed = _summary(done)
    if everything:
        _report(comparison)
    return 1 if failed else 0


def how_to_go_on(wanted: Wanted) -> str:
    """Return the command that does what is left."""
    words = ["jepa-vl", "compare", "--config", wanted.config]
    for arm in wanted.arms:
        words += ["--arm", arm]
    for seed in wanted.seeds:
        words += ["--seed", str(seed)]
    for key, value in wanted.overrides:
        words += [f"--{key}", value]
    return shlex.join(words)


def _check_names(wanted: Wanted, comparison: Comparison) -> None:
    names = [arm.name for arm in comparison.arms]
    for name in wanted.arms:
        if name not in names:
            raise RecipeError(f"--arm {name}: there is no such arm; {did_you_mean(name, names)}")
    for seed in wanted.seeds:
        if seed not in comparison.seeds:
            known = ", ".join(map(str, comparison.seeds))
            raise RecipeError(f"--seed {seed}: it is none of compare.seeds; choose from {known}")


def _prove(comparison: Comparison, arms: Sequence[str], *, again: bool = False) -> None:
    """Save the control sheet, and print it unless that was done.

    All arms are proven, also where some are asked for, but not those of the others that start from a run that
    is not there yet.

    Raises:
        RecipeError: A check found a difference that the recipe does not list.
        UserError: An arm that is asked for cannot be built.
    """
    missing = without_start(comparison)
    wanted = arms or [arm.name for arm in comparison.arms]
    for name in wanted:
        if name in missing:
            raise UserError(f"arm '{name}' starts from another run: {missing[name]}")
    sheet = control_sheet(comparison, missing)
    sheet.save(comparison_folder(comparison.name) / "control.json")
    if not again or sheet.refused:
        console = Console(highlight=False)
        console = console if console.is_terminal else Console(highlight=False, width=160)
        console.print(control_tables(sheet))
    if sheet.refused:
        raise RecipeError(f"{comparison.file}: the arms are not under control: {'; '.join(sheet.refused)}")


def _report(comparison: Comparison) -> int:
    """Write the report from the runs that are there; returns the exit status."""
    from jepa_vl.compare.report import write_report

    for job in plan(comparison, None, None):
        record = read_record(job.folder)
        if record is not None and record.key != job.key:
            log.warning("%s was made by another recipe than this one is now; it is shown as it is", job.label)
    _say(f"report: {write_report(comparison, comparison_folder(comparison.name))}")
    return 0


def _summary(done: Sequence[Done]) -> bool:
    """Say how the runs stand; returns whether one failed."""
    for each in done:
        if each.state != "finished":
            more = f": {each.message}" if each.message else ""
            _say(f"{each.arm} seed {each.seed}: {each.state}{more}")
    finished = sum(each.state == "finished" for each in done)
    _say(f"{finished} of {len(done)} runs finished")
    return any(each.state == "failed" for each in done)


def _say(text: str, *, error: bool = False) -> None:
    Console(stderr=error, highlight=False, soft_wrap=True).print(text, markup=False)
