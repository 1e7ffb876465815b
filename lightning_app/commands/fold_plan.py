"""FoldPlan: which fits a cross-validation makes, and the options that give each config its folds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datamodules import BaseDataModule
from datamodules.tabular import FeatureTableDataModule, KFoldSplit, TableSplit, TimeFolds
from datamodules.tabular.row_files import RowFiles
from features.definitions import LabelColumn
from lightning_app.atomic_write import write_whole
from lightning_app.cli.data_section import read_data
from lightning_app.errors import UsageError

_PLAN = "plan.json"
_SPLIT = "--data.split"


@dataclass(frozen=True)
class Experiment:
    """One config of a cross-validation.

    Attributes:
        name: Name in tables: the stem of the config file.
        config: The config file.
        folds: Options of each fit, by fold.
        data: Digest of its rows, labels and feature definitions.
    """

    name: str
    config: str
    folds: tuple[tuple[str, ...], ...]
    data: str


def experiments_of(
    configs: Sequence[str], options: Sequence[str], *, num_folds: int, within_training: bool
) -> list[Experiment]:
    """Folds of each config; nothing is trained.

    Args:
        configs: Config files.
        options: Further options of each fit.
        num_folds: Number of folds.
        within_training: Whether the folds of a published protocol are those of its training and validation rows.

    Raises:
        UsageError: The data cannot be folded, or the folds of two configs test different rows.
    """
    experiments: list[Experiment] = []
    tests: tuple[str, bytes] | None = None
    for config in configs:
        data = read_data(config, options)
        if not isinstance(data, FeatureTableDataModule):
            raise UsageError(
                f"cross-validate: {config} has a {type(data).__name__}; tables and texts of rows "
                "(FeatureTableDataModule) are folded, graphs by `compare --splits`, series by `walk-forward`"
            )
        folds = _folds(data, config, options, num_folds=num_folds, within_training=within_training)
        stem = Path(config).stem
        taken = [experiment.name for experiment in experiments]
        name = stem if stem not in taken else f"{stem}-{len(taken) + 1}"
        last = read_data(config, [*options, *folds[-1]])
        assert isinstance(last, FeatureTableDataModule)
        experiments.append(Experiment(name, config, tuple(folds), _digest(last)))
        rows = last.split_rows.test.tobytes()
        if tests is not None and rows != tests[1]:
            raise UsageError(
                f"configs: the folds of {config} test other rows than those of {tests[0]}; results of different folds "
                "are not comparable, so give both the same rows, seed and split"
            )
        tests = (config, rows)
    return experiments


def _folds(
    data: FeatureTableDataModule, config: str, options: Sequence[str], *, num_folds: int, within_training: bool
) -> list[tuple[str, ...]]:
    """Options of each fold."""
    split = data.split
    if isinstance(split, KFoldSplit | TimeFolds):
        if within_training:
            raise UsageError(f"--within-training: given, but {config} has folds of its own, {type(split).__name__}")
        key = f"{_SPLIT}.init_args"
        return [(f"{key}.num_folds={num_folds}", f"{key}.index={index}") for index in range(num_folds)]
    stratify = data.label.column if isinstance(data.label, LabelColumn) and data.classes else None
    rows: tuple[str, ...] = ()
    folds = None if split is None else split.folds(num_folds=num_folds, stratify=stratify)
    if isinstance(data.rows_path, RowFiles):
        _refuse_published(data.rows_path.describe(split), config, within_training)
        rows = (f"--data.rows={data.rows_path.train}",)
        folds = folds or ("KFoldSplit", {"num_folds": num_folds, "stratify": stratify})
    elif folds is None:
        assert split is not None
        _refuse_published(split.describe(), config, within_training)
        published = _written_split(config, options)
        folds = "KFoldSplit", {"num_folds": num_folds, "stratify": stratify, "published": published}
    elif within_training:
        raise UsageError(f"--within-training: given, but {config} has no published test rows; leave it out")
    name, arguments = folds
    path = f"{TableSplit.__module__.rpartition('.')[0]}.{name}"
    return [
        (*rows, f"{_SPLIT}={json.dumps({'class_path': path, 'init_args': {**arguments, 'index': index}})}")
        for index in range(num_folds)
    ]


def _digest(data: FeatureTableDataModule) -> str:
    """Digest of what folds are cut from: files may change while a cross-validation is stopped."""
    digest = hashlib.sha256(data.definitions.digest.encode())
    for table in (data.raw, *(data.tables[name] for name in sorted(data.tables))):
        digest.update(json.dumps(table.columns).encode())
        digest.update(table.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()


def _refuse_published(protocol: str, config: str, within_training: bool) -> None:
    if not within_training:
        raise UsageError(
            f"cross-validate: {config} has a published test split ({protocol}), whose rows folds would mix with those "
            "of its training; --within-training folds the training and validation rows alone"
        )


def _written_split(config: str, options: Sequence[str]) -> Any:
    """The split of a config file as it is written."""
    if any(word.startswith(_SPLIT) for word in options):
        raise UsageError(f"{_SPLIT}: a published split is folded as its config file has it; write it there")
    section = (yaml.safe_load(Path(config).read_text()) or {}).get("data")
    arguments = section.get("init_args") or section if isinstance(section, dict) else {}
    if arguments.get("split") is None:
        raise UsageError(
            f"configs: {config} has no data.split of its own; a published split is folded as the first config file "
            "has it, so write it there"
        )
    return arguments["split"]


def keep_plan(folder: Path, experiments: Sequence[Experiment], options: Sequence[str]) -> None:
    """Writes the plan of a new cross-validation; refuses to go on with one that was planned otherwise.

    Args:
        folder: Folder of the cross-validation.
        experiments: What is to be fitted.
        options: Further options of each fit.

    Raises:
        UsageError: The folder has another plan.
    """
    plan = {
        "experiments": [
            {
                "name": one.name,
                "sha256": hashlib.sha256(Path(one.config).read_bytes()).hexdigest(),
                "folds": [list(fold) for fold in one.folds],
                "data": one.data,
            }
            for one in experiments
        ],
        "options": list(options),
    }
    path = folder / _PLAN
    if path.is_file():
        if (difference := _difference(json.loads(path.read_text()), plan)) is not None:
            raise UsageError(f"--output: {folder} is a cross-validation with other {difference}; give a new folder")
        return
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--output: {folder} holds other files; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(plan, indent=2) + "\n")


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What two plans differ in, in words."""
    if before["options"] != now["options"]:
        return "options after --"
    if [one["name"] for one in before["experiments"]] != [one["name"] for one in now["experiments"]]:
        return "configs"
    for old, new in zip(before["experiments"], now["experiments"], strict=True):
        if old["sha256"] != new["sha256"]:
            return f"content of {new['name']}"
        if old["folds"] != new["folds"]:
            return "folds"
        if old.get("data", new["data"]) != new["data"]:  # plans of older versions have no digest
            return f"rows or feature definitions of {new['name']}, which have changed since it was begun"
    return None


def data_of(tested: Any) -> FeatureTableDataModule:
    """The data module of a finished command."""
    data: BaseDataModule = tested.datamodule
    assert isinstance(data, FeatureTableDataModule)
    return data
