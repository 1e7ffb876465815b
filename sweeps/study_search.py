"""Search of a study on one host: runs the trials, selects the best, and writes the report and `best.yaml`."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import optuna
from optuna.trial import TrialState

from lightning_app.runs.run_folder import RunOptions
from lightning_app.runs.tracking import wandb_mode
from sweeps.execution.coordinator import Coordinator
from sweeps.execution.devices import make_devices
from sweeps.execution.leases import Leases
from sweeps.execution.live_table import LiveTable
from sweeps.execution.reevaluation import Reevaluation, fresh_seeds
from sweeps.execution.trial_queue import TrialQueue, TrialSource
from sweeps.reporting.best_config import write_best_config
from sweeps.reporting.selection import note_options
from sweeps.reporting.study_report import Search, report
from sweeps.reporting.study_run import StudyRun
from sweeps.sampling.reevaluate import Reevaluate
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.storage.sweep_file import SweepFile
from sweeps.trials.trial_processes import TrialProcesses


def run_search(
    study: optuna.Study,
    sweep: SweepFile,
    search: Search,
    processes: TrialProcesses,
    *,
    fit: list[str],
    folder: Path,
    given: argparse.Namespace,
    seeds: TrialSeeds,
) -> int:
    """Runs the trials of a study, then the re-evaluation where one is asked for, and writes report and `best.yaml`.

    They are written also where it is interrupted or fails.

    Args:
        study: The study.
        sweep: Its file.
        search: How it searches, for the report.
        processes: Where trials run.
        fit: Words of every fit after its verb.
        folder: Folder of the study.
        given: Options of the command.
        seeds: The seeds of each trial's fits.

    Returns:
        The signal that ended it, or 0.
    """
    note_options(study, None if sweep.reevaluate is None else asdict(sweep.reevaluate))
    tracked = _study_run(study, search, folder)
    devices = make_devices(given.workers, given.devices_per_trial)
    supply = TrialQueue(
        study=study,
        space=search.space,
        leases=Leases(study, seconds=given.lease),
        num_trials=given.trials,
        stop=sweep.stop,
        seeds=seeds,
    )

    def keep_best() -> None:
        if len(search.metrics) == 1:
            section = {**search.base["run"], "name": processes.experiment}
            threads = devices[0].get("OMP_NUM_THREADS")
            write_best_config(study, search.metrics, folder, run=section, base=search.base, threads=threads)

    def run(source: TrialSource, table: LiveTable, on_complete: Callable[[], None] = lambda: None) -> int:
        def changed() -> None:
            if table.update(coordinator.running) and tracked is not None:
                tracked.log(study)

        coordinator = Coordinator(
            source=source,
            metrics=search.metrics,
            fit=fit,
            folder=folder,
            group=study.study_name,
            devices=devices,
            constraints=sweep.constraints,
            on_change=changed,
            on_complete=on_complete,
        )
        with table:
            return coordinator.run(processes)

    exit_code, written = 1, None
    try:
        table = LiveTable(study=study, metrics=search.metrics, num_trials=given.trials, workers=given.workers)
        stopped_by = run(supply, table, keep_best)
        if not stopped_by and sweep.reevaluate is not None:
            stopped_by = _reevaluate(study, sweep.reevaluate, search, run, given=given, seeds=seeds)
        exit_code = 0
    finally:
        try:
            keep_best()  # it may have been killed before it wrote it, or another host has a better one
            written = report(study, search, folder)
        finally:
            if tracked is not None and not tracked.finish(study, written, exit_code=exit_code):
                print(f"W&B: the run of the study is not complete, see {folder / 'study_run.log'}")  # noqa: T201
    if supply.ended_by:
        print(f"no further trials: {supply.ended_by}")  # noqa: T201
    if waiting := len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,))):
        trials = f"{waiting} enqueued trial{' waits' if waiting == 1 else 's wait'}"
        done = f"--trials {given.trials} are done; raise --trials and add --resume"
        why = "go on with --resume" if stopped_by else done
        print(f"warning: {trials}: {why}", file=sys.stderr)  # noqa: T201
    return stopped_by


def _reevaluate(
    study: optuna.Study,
    options: Reevaluate,
    search: Search,
    run: Callable[[TrialSource, LiveTable], int],
    *,
    given: argparse.Namespace,
    seeds: TrialSeeds,
) -> int:
    """Fits candidates on fresh seeds and chooses the best of them; returns the signal that ended it, or 0."""
    source = Reevaluation(
        study,
        metrics=search.metrics,
        space=search.space,
        seeds=fresh_seeds(study, seeds, count=options.seeds),
        top=options.top,
        lease_seconds=given.lease,
    )
    if len(source.candidates) == 1:
        print("re-evaluation: no trial of the search counts, there is nothing to choose among")  # noqa: T201
        return 0
    table = LiveTable(
        study=source.study,
        metrics=search.metrics,
        num_trials=len(source.candidates),
        workers=given.workers,
        counted=source.is_candidate,
        label=source.label,
    )
    stopped_by = run(source, table)
    if (selection := source.select(search.metrics)) is not None:
        selection.write(study)
        if selection.best is None:
            print("warning: none of the candidates could be re-evaluated, see the report", file=sys.stderr)  # noqa: T201
    return stopped_by


def _study_run(study: optuna.Study, search: Search, folder: Path) -> StudyRun | None:
    options = RunOptions(**search.base["run"])
    mode = wandb_mode(options)
    if mode == "disabled":
        return None
    return StudyRun(study=study.study_name, folder=folder, search=search, options=options, mode=mode)
