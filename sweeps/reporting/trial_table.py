"""`trials.parquet`: one row per trial."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from optuna.trial import FrozenTrial, TrialState

from lightning_app.atomic_write import replacing
from sweeps.reporting.outcome import Fits, measured, seconds_of, spread, values_of, why
from sweeps.reporting.ranking import is_feasible
from sweeps.reporting.selection import Selection
from sweeps.space.config_value import lookup
from sweeps.space.search_space import SearchSpace

_RESERVED = ("number", "state", "feasible", "start", "end", "duration", "seconds", "folder")


def trial_table(
    trials: Sequence[FrozenTrial],
    *,
    space: SearchSpace,
    metrics: Sequence[str],
    folder: Path,
    selection: Selection | None = None,
) -> pl.DataFrame:
    """A row per trial, in the order of their numbers.

    Args:
        trials: Of the study.
        space: What varies.
        metrics: Names of the metrics.
        folder: Folder of the study.
        selection: What a re-evaluation found.

    Returns:
        Columns: `number`; `state`; `why`, null where no cause was noted; `feasible`; one per metric, null where the
        trial is not complete, with `<metric>.std` over its seeds and `num_seeds` where trials have several; where the
        best were re-evaluated, `reevaluated.mean`, `reevaluated.std` and `reevaluated.num_seeds`; one per parameter, by
        its key, null where a trial does not have it; `measured.<what>`; `excess.<bound>`, above 0 where the trial
        breaks it; plain attributes of trials; `start` and `end`; `duration`, the seconds that it ran; `folder`, that of
        the trial's last run, of several seeds that of the first.
    """
    columns: dict[str, list[Any]] = {
        "number": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
        "why": [why(trial) or None for trial in trials],
        "feasible": [is_feasible(trial) if trial.state == TrialState.COMPLETE else None for trial in trials],
    }
    for position, name in enumerate(metrics):
        columns[name] = [values[position] if (values := values_of(trial)) else None for trial in trials]
    columns |= _seed_columns(trials, metrics) | _reevaluated_columns(trials, selection)
    for parameter in space.parameters:
        columns[parameter.key] = _column([trial.params.get(parameter.key) for trial in trials])
    needed = [measured(trial) for trial in trials]
    for name in sorted({name for found in needed for name in found}):
        columns[f"measured.{name}"] = [found.get(name) for found in needed]
    for name in sorted({name for trial in trials for name in trial.constraints}):
        columns[f"excess.{name}"] = [trial.constraints.get(name) for trial in trials]
    for name in sorted({name for trial in trials for name in trial.user_attrs} - {*columns, *_RESERVED}):
        given = [trial.user_attrs.get(name) for trial in trials]
        if all(value is None or isinstance(value, bool | int | float | str) for value in given):
            columns[name] = _column(given)
    columns["start"] = [trial.datetime_start for trial in trials]
    columns["end"] = [trial.datetime_complete for trial in trials]
    columns["duration"] = [seconds_of(trial) for trial in trials]
    columns["folder"] = [str(run) if (run := run_of(folder, trial.number)) else None for trial in trials]
    schema: dict[str, Any] = {"number": pl.Int64, "state": pl.String, "why": pl.String, "feasible": pl.Boolean}
    floats = [
        name
        for name in columns
        if name.startswith(("measured.", "excess.")) or name.endswith(".std") or name == "reevaluated.mean"
    ]
    schema |= dict.fromkeys((*metrics, *floats, "duration"), pl.Float64)
    schema |= {"start": pl.Datetime, "end": pl.Datetime, "folder": pl.String}
    return pl.DataFrame(columns, schema_overrides=schema, strict=False)


def _seed_columns(trials: Sequence[FrozenTrial], metrics: Sequence[str]) -> dict[str, list[Any]]:
    fits = [Fits.of(trial) for trial in trials]
    if not any(fits):
        return {}
    # A trial in its first fit has none noted yet.
    columns: dict[str, list[Any]] = {"num_seeds": [len(found.values) if found else None for found in fits]}
    for position, name in enumerate(metrics):
        columns[f"{name}.std"] = [found.spread(position) if found else None for found in fits]
    return columns


def _reevaluated_columns(trials: Sequence[FrozenTrial], selection: Selection | None) -> dict[str, list[Any]]:
    if selection is None:
        return {}
    known = {candidate.number: candidate.values for candidate in selection.candidates}
    values = [known.get(trial.number, []) for trial in trials]
    return {
        "reevaluated.mean": [statistics.fmean(found) if found else None for found in values],
        "reevaluated.std": [spread(found) for found in values],
        "reevaluated.num_seeds": [len(found) or None for found in values],
    }


def write_trials(table: pl.DataFrame, path: Path) -> None:
    """Writes the table so that a reader sees the old one or the new one."""
    with replacing(path) as partial:
        table.write_parquet(partial)


def run_of(folder: Path, number: int) -> Path | None:
    """The run folder of a trial, that of its last attempt; None if it never got that far."""
    runs = sorted((folder / "trials" / f"trial-{number:05d}").glob("*/config.yaml"), key=lambda path: path.parent.name)
    return runs[-1].parent if runs else None


def changes(params: Mapping[str, Any], base: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Key, value in the base config, value of a trial; a value that the base config does not have is None.

    Args:
        params: Values by dotted key, written as on the command line.
        base: The resolved config, nested.
    """
    return [(key, lookup(base, key.split(".")), value) for key, value in params.items()]


def _column(values: list[Any]) -> list[Any]:
    """Of one type, so that a table can hold it: mixed ones go by their text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
