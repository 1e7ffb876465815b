"""`lightning-app sweep`: searches hyper-parameters of any config, trial by trial."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import RunOptions
from lightning_app.runs.tracking import wandb_mode
from lightning_app.verb_parser import VerbParser
from sweeps.execution.coordinator import Coordinator
from sweeps.execution.devices import make_slots
from sweeps.execution.kept_checkpoint import mismatch, words_to_keep_by
from sweeps.execution.live_table import LiveTable, print_result
from sweeps.execution.trial_processes import TrialProcesses
from sweeps.reporting.study_report import Search, report
from sweeps.reporting.study_run import StudyRun
from sweeps.sampling.component_spec import Choice
from sweeps.sampling.pruners import make_pruner
from sweeps.sampling.samplers import make_sampler, settle
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.storage.study import open_study, storage_to_resume
from sweeps.storage.study_inputs import check_inputs
from sweeps.storage.sweep_file import SweepFile

_STOP_SECONDS = 30.0


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first. Words after `--` go to each fit.
    """
    given, options = _parser().split(args)
    for name in ("trials", "workers", "devices_per_trial", "lease"):
        if getattr(given, name) < 1:
            raise UsageError(f"{name}: {getattr(given, name)} given, at least 1 is needed")
    sweep = SweepFile.read(given.space)
    num_metrics = len(sweep.metrics)
    pruner = make_pruner(sweep.pruner)
    choice, rule = settle(
        sweep.sampler,
        space=sweep.space,
        num_metrics=num_metrics,
        num_trials=given.trials,
        prunes=sweep.pruner.name != "none",
    )
    sampler = make_sampler(choice, seed=sweep.seed, space=sweep.space, num_metrics=num_metrics)
    fit = [*(word for config in given.config for word in ("-c", str(Path(config).resolve()))), *options]
    if given.dry_run:
        _dry_run(sweep, sampler, fit)
        return
    folder = Path(given.root).resolve() / "sweeps" / (given.study or Path(given.space).stem)
    if folder.exists() and not given.resume:
        raise UsageError(f"study: {folder} is there already; go on with --resume, or give another --study")
    storage = storage_to_resume(folder, given.storage) if given.resume else None
    with TrialProcesses(
        space=given.space,
        fit=fit,
        metrics=list(sweep.metrics),
        max_parameters=sweep.constraints.get("parameters"),
        patience=2 * given.lease,
        stop_seconds=min(given.lease, _STOP_SECONDS),
    ) as processes:
        base = processes.wait_until_ready()
        if given.checkpoint_by_metric:
            fit += words_to_keep_by(sweep.metrics, base)
        elif said := mismatch(sweep.metrics, processes.kept_by):
            print(f"warning: {said}", file=sys.stderr)  # noqa: T201
        print(f"sampler: {choice}" + (f", as of: {rule}" if rule else ""))  # noqa: T201
        study = open_study(sweep, sampler, pruner, folder, given.storage, base=base, storage=storage)
        check_inputs(study, processes.inputs, allow_changed_data=given.allow_changed_data)
        if given.allow_changed_data:
            fit.append("--allow_changed_data=true")
        settings = _settings(sweep, choice, given, fit)
        search = Search(space=sweep.space, metrics=sweep.metrics, settings=settings, base=base)
        stopped_by = _search(study, sweep, search, processes, fit=fit, folder=folder, given=given)
    print_result(study, search, folder)
    if stopped_by:
        print("interrupted: trials wait where they were; go on with --resume")  # noqa: T201
        raise SystemExit(128 + stopped_by)


def _parser() -> VerbParser:
    parser = VerbParser("sweep", description=__doc__, trusts=True)
    parser.add_argument("-c", "--config", action="append", required=True, help="config of the fit; several are merged")
    parser.add_argument("--space", required=True, help="file with metrics, space, sampler and pruner")
    parser.add_argument("--trials", type=int, default=20, help="trials of the study in all")
    parser.add_argument("--workers", type=int, default=1, help="trials at a time")
    parser.add_argument("--devices-per-trial", type=int, default=1, help="GPUs of each trial, where there are some")
    parser.add_argument("--root", default="runs", help="folder of all runs")
    parser.add_argument("--study", default=None, help="name of the study; default: stem of the space file")
    parser.add_argument(
        "--storage",
        default=None,
        help="journal:///path, postgresql://..., sqlite:///path, grpc://host:port; default: a journal beside it",
    )
    parser.add_argument("--lease", type=float, default=30.0, help="seconds after which a lost trial is taken up again")
    parser.add_argument(
        "--checkpoint-by-metric", action="store_true", help="trials keep best.ckpt by the metric of the sweep"
    )
    parser.add_argument(
        "--allow-changed-data", action="store_true", help="go on though files of the data have changed since the begin"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a study that is there")
    parser.add_argument("--dry-run", action="store_true", help="show what the first trials would change, and stop")
    return parser


def _dry_run(sweep: SweepFile, sampler: SeededSampler, fit: list[str]) -> None:
    from sweeps.execution.dry_run import show
    from sweeps.execution.trial_config import ConfigReader, check_space

    reader = ConfigReader(fit)
    check_space(sweep.space, reader)
    show(sweep.space, sampler, reader, num_metrics=len(sweep.metrics))


def _search(
    study: optuna.Study,
    sweep: SweepFile,
    search: Search,
    processes: TrialProcesses,
    *,
    fit: list[str],
    folder: Path,
    given: argparse.Namespace,
) -> int:
    """Runs the trials and writes down what came of them, also where it is interrupted or fails."""
    table = LiveTable(study=study, metrics=search.metrics, num_trials=given.trials, workers=given.workers)
    tracked = _study_run(study, search, folder)

    def changed() -> None:
        if table.update(coordinator.running) and tracked is not None:
            tracked.log(study)

    coordinator = Coordinator(
        study=study,
        space=search.space,
        metrics=dict(search.metrics),
        fit=fit,
        folder=folder,
        slots=make_slots(given.workers, given.devices_per_trial),
        num_trials=given.trials,
        run_section={**search.base["run"], "name": processes.experiment},
        constraints=sweep.constraints,
        stop=sweep.stop,
        lease_seconds=given.lease,
        on_change=changed,
    )
    exit_code, written = 1, None
    try:
        with table:
            stopped_by = coordinator.run(processes)
        exit_code = 0
    finally:
        try:
            coordinator.keep_best()  # it may have been killed before it wrote it, or another host has a better one
            written = report(study, search, folder)
        finally:
            if tracked is not None and not tracked.finish(study, written, exit_code=exit_code):
                print(f"W&B: the run of the study is not complete, see {folder / 'study_run.log'}")  # noqa: T201
    if coordinator.supply.ended_by:
        print(f"no further trials: {coordinator.supply.ended_by}")  # noqa: T201
    if waiting := len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,))):
        trials = f"{waiting} enqueued trial{' waits' if waiting == 1 else 's wait'}"
        done = f"--trials {given.trials} are done; raise --trials and add --resume"
        why = "go on with --resume" if stopped_by else done
        print(f"warning: {trials}: {why}", file=sys.stderr)  # noqa: T201
    return stopped_by


def _study_run(study: optuna.Study, search: Search, folder: Path) -> StudyRun | None:
    options = RunOptions(**search.base["run"])
    mode = wandb_mode(options)
    if mode == "disabled":
        return None
    return StudyRun(study=study.study_name, folder=folder, search=search, options=options, mode=mode)


def _settings(sweep: SweepFile, choice: Choice, given: argparse.Namespace, fit: list[str]) -> Mapping[str, str]:
    bounds = ", ".join(f"{name} at most {bound:g}" for name, bound in sweep.constraints.items())
    return {
        "sampler": str(choice),
        "pruner": str(sweep.pruner),
        "constraints": bounds or "none",
        "seed": str(sweep.seed),
        "trials asked for": str(given.trials),
        "workers of this host": str(given.workers),
        "fit": " ".join(fit),
    }
