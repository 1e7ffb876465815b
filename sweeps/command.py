"""`lightning-app sweep`: searches hyper-parameters of any config, trial by trial."""

import argparse
import os
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from lightning_app.cli import quiet
from lightning_app.errors import UsageError
from lightning_app.run import RunOptions
from lightning_app.tracking import wandb_mode
from lightning_app.verb_parser import VerbParser
from sweeps.coordinator import Coordinator
from sweeps.live_table import LiveTable, print_result
from sweeps.report import Search, report
from sweeps.samplers import make_pruner, make_sampler
from sweeps.study_run import StudyRun
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
    study = _study(sweep, folder, given)
    search = _search(sweep, reader, given)
    table = LiveTable(study=study, metrics=sweep.metrics, num_trials=given.trials, workers=given.workers)
    tracked = _study_run(study, search, reader, folder)
    coordinator = Coordinator(
        study=study,
        space=sweep.space,
        metrics=dict(sweep.metrics),
        fit=fit,
        folder=folder,
        slots=_slots(given.workers),
        num_trials=given.trials,
        lease_seconds=given.lease,
        on_change=lambda: _changed(coordinator, table, tracked),
    )
    modules = [*_PRELOADED, *_named_modules(given.config)]
    exit_code, written = 1, None
    try:
        log = folder / "fork_server.log"
        with TrialProcesses(modules=modules, metrics=list(sweep.metrics), log=log) as processes, table:
            coordinator.run(processes)
        exit_code = 0
    finally:
        try:
            written = report(study, search, folder)
        finally:
            if tracked is not None and not tracked.finish(study, written, exit_code=exit_code):
                print(f"W&B: the run of the study is not complete, see {folder / 'study_run.log'}")  # noqa: T201
    print_result(study, search, folder)


def _changed(coordinator: Coordinator, table: LiveTable, tracked: StudyRun | None) -> None:
    if table.update(coordinator.running) and tracked is not None:
        tracked.log(coordinator.study)


def _study_run(study: optuna.Study, search: Search, reader: ConfigReader, folder: Path) -> StudyRun | None:
    options = RunOptions(**reader.config["fit"].run.as_dict())
    mode = wandb_mode(options)
    if mode == "disabled":
        return None
    return StudyRun(study=study.study_name, folder=folder, search=search, options=options, mode=mode)


def _search(sweep: SweepFile, reader: ConfigReader, given: argparse.Namespace) -> Search:
    settings = {
        "sampler": sweep.sampler,
        "pruner": sweep.pruner,
        "seed": str(sweep.seed),
        "trials asked for": str(given.trials),
        "workers of this host": str(given.workers),
        "fit": " ".join(reader.given),
    }
    return Search(space=sweep.space, metrics=sweep.metrics, settings=settings, base=reader.resolve({}))


def _study(sweep: SweepFile, folder: Path, given: argparse.Namespace) -> optuna.Study:
    if folder.exists() and not given.resume:
        raise UsageError(f"study: {folder} is there already; go on with --resume, or give another --study")
    folder.mkdir(parents=True, exist_ok=True)
    storage = given.storage or JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    conditional = any(parameter.when for parameter in sweep.space.parameters)
    return optuna.create_study(
        storage=storage,
        study_name=folder.name,
        sampler=make_sampler(sweep.sampler, seed=sweep.seed, conditional=conditional, num_metrics=len(sweep.metrics)),
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
