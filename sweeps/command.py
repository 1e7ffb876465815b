"""`lightning-app sweep`: searches hyper-parameters of any config, trial by trial."""

import argparse
import os
from collections import Counter
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console
from rich.table import Table

from lightning_app.cli import quiet
from lightning_app.errors import UsageError
from lightning_app.verb_parser import VerbParser
from sweeps.constraints import best_trials, ranked
from sweeps.coordinator import Coordinator
from sweeps.dry_run import show
from sweeps.pruners import make_pruner
from sweeps.samplers import make_sampler, settle
from sweeps.seeded_sampler import SeededSampler
from sweeps.sweep_file import SweepFile
from sweeps.trial_config import ConfigReader, check_space
from sweeps.trial_processes import TrialProcesses

_PRELOADED = ("torch", "sweeps.trial", "wandb")
_OPTIONAL = {"models.graph": "graph", "datamodules.graph": "graph"}


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
    parser.add_argument("--root", default="runs", help="folder of all runs")
    parser.add_argument("--study", default=None, help="name of the study; default: stem of the space file")
    parser.add_argument("--storage", default=None, help="URL of a database; default: a journal file beside the study")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds after which a lost trial is taken up again")
    parser.add_argument("--resume", action="store_true", help="go on with a study that is there")
    parser.add_argument("--dry-run", action="store_true", help="show what the first trials would change, and stop")
    given, options = parser.split(args)
    for name in ("trials", "workers", "lease"):
        if getattr(given, name) < 1:
            raise UsageError(f"{name}: {getattr(given, name)} given, at least 1 is needed")
    quiet()
    sweep = SweepFile.read(given.space)
    fit = [*(word for config in given.config for word in ("-c", str(Path(config).resolve()))), *options]
    reader = ConfigReader(fit)
    check_space(sweep.space, reader)
    folder = Path(given.root).resolve() / "sweeps" / (given.study or Path(given.space).stem)
    num_metrics = len(sweep.metrics)
    choice, reason = settle(sweep.sampler, space=sweep.space, num_metrics=num_metrics, num_trials=given.trials)
    sampler = make_sampler(choice, seed=sweep.seed, space=sweep.space, num_metrics=num_metrics)
    print(f"sampler: {choice}" + (f", as of: {reason}" if reason else ""))  # noqa: T201
    if given.dry_run:
        show(sweep.space, sampler, reader, num_metrics=num_metrics)
        return
    study = _study(sweep, folder, given, sampler)
    coordinator = Coordinator(
        study=study,
        space=sweep.space,
        metrics=dict(sweep.metrics),
        fit=fit,
        folder=folder,
        slots=_slots(given.workers),
        num_trials=given.trials,
        lease_seconds=given.lease,
        stop=sweep.stop,
    )
    modules = [*_PRELOADED, *_named_modules(given.config)]
    with TrialProcesses(modules=modules, metrics=list(sweep.metrics), log=folder / "fork_server.log") as processes:
        coordinator.run(processes)
    if coordinator.ended_by:
        print(f"no further trials: {coordinator.ended_by}")  # noqa: T201
    _show(study, sweep, folder)


def _study(sweep: SweepFile, folder: Path, given: argparse.Namespace, sampler: SeededSampler) -> optuna.Study:
    if folder.exists() and not given.resume:
        raise UsageError(f"study: {folder} is there already; go on with --resume, or give another --study")
    folder.mkdir(parents=True, exist_ok=True)
    storage = given.storage or JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return optuna.create_study(
        storage=storage,
        study_name=folder.name,
        sampler=sampler,
        pruner=make_pruner(sweep.pruner),
        directions=list(sweep.metrics.values()),
        load_if_exists=True,
    )


def _slots(workers: int) -> list[dict[str, str]]:
    """One GPU each where there are some, dealt out in turn; else an equal share of the cores."""
    visible = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    if visible:
        return [{"CUDA_VISIBLE_DEVICES": visible[index % len(visible)]} for index in range(workers)]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // workers))
    return [{"OMP_NUM_THREADS": threads} for _ in range(workers)]


def _named_modules(configs: list[str]) -> list[str]:
    """Packages of optional models that a config names."""
    text = "".join(Path(config).read_text() for config in configs)
    return [name for name in _OPTIONAL if name in text]


def _show(study: optuna.Study, sweep: SweepFile, folder: Path) -> None:
    states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
    print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))  # noqa: T201
    table = Table("trial", *sweep.metrics, "parameters")
    best = ranked(study)[:5] if len(sweep.metrics) == 1 else best_trials(study)
    for trial in best:
        words = (f"{key} {_short(value)}" for key, value in trial.params.items())
        table.add_row(str(trial.number), *(f"{value:.4f}" for value in trial.values or ()), ", ".join(words))
    Console().print(table)
    if (folder / "best.yaml").exists():
        print(f"best: lightning-app fit -c {folder / 'best.yaml'}")  # noqa: T201


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
