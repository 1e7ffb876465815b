"""Dry run: the config changes of the first trials, shown without running them."""

from collections.abc import Mapping
from typing import Any

import optuna
from rich.table import Table
from rich.text import Text

from lightning_app import terminal
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.space.search_space import SearchSpace
from sweeps.trials.trial_config import ConfigReader

_ABSENT = object()


def show(
    space: SearchSpace, sampler: SeededSampler, reader: ConfigReader, *, num_metrics: int = 1, num_trials: int = 5
) -> None:
    """Prints a table with a row per changed key and a column per trial.

    Whole configs are compared, so that options that come or go with a class are shown. A study samples its first trials
    in this way until one has finished.

    Args:
        space: What varies.
        sampler: Samples the values.
        reader: Reads the config that they change.
        num_metrics: How many metrics the sweep has.
        num_trials: Trials to show; fewer if the space has fewer points.
    """
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * num_metrics)
    draws = TrialSampler(study, space)
    drawn: list[dict[str, Any]] = []
    while len(drawn) < num_trials and not draws.is_exhausted():
        values = draws.draw(study.ask())
        if values is None:
            break
        drawn.append(values)
    base = flat(reader.resolve({}))
    changed = [difference(base, flat(reader.resolve(values))) for values in drawn]
    table = Table("key", "config", *(f"trial {number}" for number in range(len(changed))))
    for key in dict.fromkeys(key for one in changed for key in one):
        cells = (_cell(one[key]) if key in one else Text("") for one in changed)
        table.add_row(Text(key, overflow="fold"), _cell(base.get(key, _ABSENT)), *cells)
    terminal.show(table)


def flat(config: Any, key: str = "") -> dict[str, Any]:
    """A nested config by dotted keys, as the command line takes them: without `init_args` and `class_path`.

    Args:
        config: Plain data.
        key: Where it stands.
    """
    if not isinstance(config, Mapping) or not config:
        return {key: config}
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, key if name in ("init_args", "class_path") and key else f"{key}.{name}".lstrip("."))
    return found


def difference(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a flat config that differ from another one, and a marker for those it lacks."""
    changed = {key: value for key, value in other.items() if key not in base or base[key] != value}
    return changed | {key: _ABSENT for key in base if key not in other}


def _cell(value: Any) -> Text:
    if value is _ABSENT:
        return Text("-")
    word = f"{value:.6g}" if isinstance(value, float) else "null" if value is None else str(value)
    return Text(word, overflow="fold")
