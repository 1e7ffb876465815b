"""Study: opens or creates it on its storage, and checks that its settings match the command."""

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from lightning_app.errors import UsageError, nearest
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.storage.claims import SUFFIX
from sweeps.storage.reevaluation_study import NAME
from sweeps.storage.study_storage import check_there, open_storage
from sweeps.storage.sweep_file import SweepFile

_CONFIG = "config"
_SEEDS = "seeds_per_trial"


def open_study(
    sweep: SweepFile,
    sampler: SeededSampler,
    pruner: BasePruner,
    folder: Path,
    storage_url: str | None,
    *,
    base: Mapping[str, Any],
    storage: BaseStorage | None = None,
) -> optuna.Study:
    """Opens a study, and creates it if it does not exist.

    Args:
        sweep: The sweep file.
        sampler: The sampler.
        pruner: The pruner.
        folder: Folder of the study; its name is that of the study.
        storage_url: Where the study is kept; None for a journal file in the folder.
        base: The resolved config that is varied.
        storage: The open storage, as returned by `storage_to_resume`.

    Raises:
        UsageError: The study was started with other metrics or other choices.
    """
    if storage_url is None:
        folder.mkdir(parents=True, exist_ok=True)
    # Before the folder is made: without it there is nothing to resume.
    storage = storage or open_storage(storage_url, folder)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=storage,
        study_name=folder.name,
        sampler=sampler,
        pruner=pruner,
        directions=list(sweep.metrics.values()),
        load_if_exists=True,
    )
    _check_metrics(study, sweep)
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(sweep.metrics))
    _check_space(study, sweep)
    _check_config(study, base)
    _check_bounds(study, sweep)
    _check_seeds(study, sweep)
    return study


def storage_to_resume(folder: Path, storage_url: str | None) -> BaseStorage:
    """Opens the storage of a study to resume.

    Args:
        folder: Folder of the study; its name is that of the study.
        storage_url: Where the study is kept; None for a journal file in the folder.

    Raises:
        UsageError: There is no such study.
    """
    if storage_url is None and not folder.exists():
        known = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        raise UsageError(f"study: there is no {folder} to go on with{nearest(folder.name, known)}")
    if storage_url is not None:
        check_there(storage_url)
    storage = open_storage(storage_url, folder)
    known = [name for name in optuna.get_all_study_names(storage) if not name.endswith((SUFFIX, NAME))]
    # A folder in which nothing has run may be of a sweep that ended before it had made its study.
    if folder.name in known or (folder.exists() and not any(folder.glob("trials/*"))):
        return storage
    there = f"it has {', '.join(map(repr, known[:10]))}" if known else "it has none"
    elsewhere = f"; {folder} has trials of one that is kept elsewhere, give its --storage" if folder.exists() else ""
    raise UsageError(
        f"study: the storage has no {folder.name!r} to go on with{nearest(folder.name, known)}; {there}{elsewhere}"
    )


def _check_metrics(study: optuna.Study, sweep: SweepFile) -> None:
    found = study.user_attrs.get("metrics")
    if found is None:
        study.set_user_attr("metrics", dict(sweep.metrics))
    elif found != dict(sweep.metrics):
        raise UsageError(f"metrics: study {study.study_name!r} was begun with {found}; give another --study")


def _check_space(study: optuna.Study, sweep: SweepFile) -> None:
    """Ranges may change from one command to the next, choices and kinds may not."""
    known = {key: held for trial in study.get_trials(deepcopy=False) for key, held in trial.distributions.items()}
    for parameter in sweep.space.parameters:
        if parameter.key in known:
            try:
                check_distribution_compatibility(known[parameter.key], parameter.distribution())
            except ValueError as error:
                raise UsageError(
                    f"space.{parameter.key}: study {study.study_name!r} was begun with {known[parameter.key]}; give "
                    "another --study"
                ) from error


def _check_config(study: optuna.Study, base: Mapping[str, Any]) -> None:
    digest = hashlib.sha256(json.dumps(base, sort_keys=True, default=str).encode()).hexdigest()
    found = study.user_attrs.get(_CONFIG)
    if found is None:
        study.set_user_attr(_CONFIG, digest)
    elif found != digest:
        _warn("the study was begun with another config; values of its trials may not compare")


def _check_bounds(study: optuna.Study, sweep: SweepFile) -> None:
    found = study.user_attrs.get("constraints")
    if found is None:
        study.set_user_attr("constraints", dict(sweep.constraints))
    elif found != dict(sweep.constraints):
        _warn(f"the study was begun with the bounds {found}; its trials were judged by those")


def _check_seeds(study: optuna.Study, sweep: SweepFile) -> None:
    """Missing attributes are those of old studies: one seed, no re-evaluation."""
    found, now = study.user_attrs.get(_SEEDS), {"seeds": sweep.seeds_per_trial, "keys": list(sweep.seed_keys)}
    begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    if now != (found or {"seeds": 1, "keys": []}):
        if found is None and not begun:
            study.set_user_attr(_SEEDS, now)
        else:
            count = found["seeds"] if found else 1
            _warn(
                f"the study was begun with {count} seed{'' if count == 1 else 's'} per trial, or with other seed_keys; "
                "values of its trials may not compare"
            )


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)  # noqa: T201
