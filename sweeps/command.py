"""`lightning-app sweep`: searches hyper-parameters of any config, trial by trial."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import optuna

from lightning_app.errors import UsageError
from lightning_app.verb_parser import VerbParser
from sweeps.execution.live_table import print_result
from sweeps.execution.reevaluation import fresh_seeds
from sweeps.reporting.selection import seed_range
from sweeps.reporting.study_report import Search
from sweeps.sampling.component_spec import ComponentSpec
from sweeps.sampling.pruners import make_pruner
from sweeps.sampling.samplers import make_sampler, settle
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.storage.study import open_study, storage_to_resume
from sweeps.storage.study_inputs import check_inputs
from sweeps.storage.sweep_file import SweepFile
from sweeps.study_search import run_search
from sweeps.trials.kept_checkpoint import mismatch, words_to_keep_by
from sweeps.trials.trial_processes import TrialProcesses

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
        seeds = sweep.seeds(base)
        study = open_study(sweep, sampler, pruner, folder, given.storage, base=base, storage=storage)
        check_inputs(study, processes.inputs, allow_changed_data=given.allow_changed_data)
        if given.allow_changed_data:
            fit.append("--allow_changed_data=true")
        settings = _settings(sweep, choice, given, fit, seeds, study)
        search = Search(space=sweep.space, metrics=sweep.metrics, settings=settings, base=base)
        stopped_by = run_search(study, sweep, search, processes, fit=fit, folder=folder, given=given, seeds=seeds)
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
        "--allow-changed-data",
        action="store_true",
        help="continue although data files have changed",
    )
    parser.add_argument("--resume", action="store_true", help="continue an existing study")
    parser.add_argument("--dry-run", action="store_true", help="show what the first trials would change, and stop")
    return parser


def _dry_run(sweep: SweepFile, sampler: SeededSampler, fit: list[str]) -> None:
    from sweeps.dry_run import show
    from sweeps.trials.trial_config import ConfigReader, check_space

    reader = ConfigReader(fit)
    check_space(sweep.space, reader)
    sweep.seeds(reader.resolve({}))
    show(sweep.space, sampler, reader, num_metrics=len(sweep.metrics))


def _settings(
    sweep: SweepFile,
    choice: ComponentSpec,
    given: argparse.Namespace,
    fit: list[str],
    seeds: TrialSeeds,
    study: optuna.Study,
) -> Mapping[str, str]:
    bounds = ", ".join(f"{name} at most {bound:g}" for name, bound in sweep.constraints.items())
    return {
        "sampler": str(choice),
        "pruner": str(sweep.pruner),
        "constraints": bounds or "none",
        "seed": str(sweep.seed),
        **_repeats(sweep, seeds, study),
        "trials asked for": str(given.trials),
        "workers of this host": str(given.workers),
        "fit": " ".join(fit),
    }


def _repeats(sweep: SweepFile, seeds: TrialSeeds, study: optuna.Study) -> dict[str, str]:
    """How often a config is fitted, where that is more than once."""
    said = {}
    if sweep.seeds_per_trial > 1:
        said["seeds per trial"] = f"{seeds.count} ({seed_range(seeds.numbers)})"
    if sweep.seed_keys:
        said["counted up with the seed"] = ", ".join(f"`{key}`" for key in sweep.seed_keys)
    if sweep.reevaluate is not None:
        fresh = seed_range(fresh_seeds(study, seeds, count=sweep.reevaluate.seeds).numbers)
        said["re-evaluation"] = f"the best {sweep.reevaluate.top} and the base config, seeds {fresh}"
    return said
