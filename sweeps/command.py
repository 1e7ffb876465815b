"""`lightning-app sweep`: searches hyper-parameters of any config, trial by trial."""

from collections import Counter
from pathlib import Path

import optuna
from rich.console import Console
from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.verb_parser import VerbParser
from sweeps.coordinator import Coordinator
from sweeps.slots import make_slots
from sweeps.study import open_study
from sweeps.sweep_file import SweepFile
from sweeps.trial_processes import TrialProcesses


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first. Words after `--` go to each fit.
    """
    parser = VerbParser("sweep", description=__doc__)
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
    parser.add_argument("--resume", action="store_true", help="go on with a study that is there")
    given, options = parser.split(args)
    for name in ("trials", "workers", "devices_per_trial", "lease"):
        if getattr(given, name) < 1:
            raise UsageError(f"{name}: {getattr(given, name)} given, at least 1 is needed")
    sweep = SweepFile.read(given.space)
    fit = [*(word for config in given.config for word in ("-c", str(Path(config).resolve()))), *options]
    folder = Path(given.root).resolve() / "sweeps" / (given.study or Path(given.space).stem)
    if folder.exists() and not given.resume:
        raise UsageError(f"study: {folder} is there already; go on with --resume, or give another --study")
    patience = 2 * given.lease
    with TrialProcesses(space=given.space, fit=fit, metrics=list(sweep.metrics), patience=patience) as processes:
        base = processes.wait_until_ready()
        study = open_study(sweep, folder, given.storage, base=base)
        coordinator = Coordinator(
            study=study,
            space=sweep.space,
            metrics=dict(sweep.metrics),
            fit=fit,
            folder=folder,
            slots=make_slots(given.workers, given.devices_per_trial),
            num_trials=given.trials,
            lease_seconds=given.lease,
        )
        stopped_by = coordinator.run(processes)
    if coordinator.supply.ended_by:
        print(f"no further trials: {coordinator.supply.ended_by}")  # noqa: T201
    _show(study, sweep, folder)
    if stopped_by:
        print("interrupted: trials wait where they were; go on with --resume")  # noqa: T201
        raise SystemExit(128 + stopped_by)


def _show(study: optuna.Study, sweep: SweepFile, folder: Path) -> None:
    states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
    print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))  # noqa: T201
    table = Table("trial", *sweep.metrics, "parameters")
    if len(sweep.metrics) == 1:
        done = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
        reverse = next(iter(sweep.metrics.values())) == "maximize"
        best = sorted(done, key=lambda trial: trial.value or 0.0, reverse=reverse)[:5]
    else:
        best = study.best_trials
    for trial in best:
        words = (f"{key} {_short(value)}" for key, value in trial.params.items())
        table.add_row(str(trial.number), *(f"{value:.4f}" for value in trial.values or ()), ", ".join(words))
    Console().print(table)
    if (folder / "best.yaml").exists():
        print(f"best: lightning-app fit -c {folder / 'best.yaml'}")  # noqa: T201


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
