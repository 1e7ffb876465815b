"""Regret: what configs lose on data that they were not tuned for, against the best config of each set.

It is per cent of an error, points of an accuracy. Defaults are those with the least mean regret on validation; regret on
test is printed beside it, and chosen on by nobody.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from benchmarks.measure import run
from benchmarks.page import config, table

_FAILED = "refused"


@dataclass(frozen=True)
class DevelopmentSet:
    """Data that a config is moved to.

    Attributes:
        overlay: Sections that replace those of the config.
        room: Longest look-back that its splits allow; None if the config's own is kept.
        options: Of `lightning-app compare`, such as seeds or splits.
    """

    overlay: Mapping[str, Any] = field(default_factory=dict)
    room: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """Configs and development sets that are judged by one metric.

    Attributes:
        metric: Its name without the split.
        higher: Whether higher is better.
        configs: Names below `configs/`.
        sets: Development sets by name.
        variants: Configs that are no files, by what they change: the name of one that is, and sections laid over it.
        leave_out: Configs of the family that are not fitted, and why, for the page.
    """

    metric: str
    higher: bool
    configs: tuple[str, ...]
    sets: Mapping[str, DevelopmentSet]
    variants: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    leave_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A config on a set: its metric on validation and test, and the CPU seconds of a fit."""

    val: float
    test: float
    cpu_seconds: float


def measure(kind: Kind) -> str:
    """Fits and tests all configs of a kind on all of its sets: the table of values and regrets."""
    candidates: dict[str, tuple[str, Mapping[str, Any]]] = {
        **{name: (name, {}) for name in kind.configs},
        **kind.variants,
    }
    cells = {
        (name, its_set): _fit(name, candidates[name], development_set, kind.metric)
        for its_set, development_set in kind.sets.items()
        for name in candidates
    }
    regrets = {
        split: {
            (name, its_set): _regret(
                getattr(cell, split),
                [getattr(other, split) for (_, of), other in cells.items() if of == its_set and other is not None],
                higher=kind.higher,
            )
            for (name, its_set), cell in cells.items()
            if cell is not None
        }
        for split in ("val", "test")
    }
    rows = []
    for name in candidates:
        found = [its_set for its_set in kind.sets if cells[name, its_set] is not None]
        chosen_on, seen = (
            mean(regrets[split][name, of] for of in found) if found else None for split in ("val", "test")
        )
        shown = [_shown(cells[name, of], regrets["test"].get((name, of))) for of in kind.sets]
        cost = sum(cell.cpu_seconds for of in found if (cell := cells[name, of]) is not None)
        rows.append(
            (chosen_on is None, chosen_on or 0.0, [name, _number(chosen_on), _number(seen), *shown, f"{cost:.0f}"])
        )
    unit = "points" if kind.higher else "%"
    left_out = "".join(f" Not fitted: `{name}`, {why}." for name, why in kind.leave_out.items())
    header = f"config|mean regret on validation, {unit}|on test|{'|'.join(kind.sets)}|fits, CPU s"
    return (
        f"Configs as shipped{' and what they would be with one change' if kind.variants else ''}, one fit on each set but for seeds or folds that the set names; `{kind.metric}` on test, in "
        f"brackets the regret in {unit}: what is lost against the best row of the set. Rows are in the order of the mean "
        f"regret on validation, over the sets that the config takes; '{_FAILED}' is a set that it does not.{left_out}\n\n"
    ) + table(header, *("|".join(cells) for *_, cells in sorted(rows, key=lambda row: row[:2])))


def _regret(value: float, values: list[float], *, higher: bool) -> float:
    return 100 * (max(values) - value) if higher else 100 * (value / min(values) - 1)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _shown(cell: Cell | None, regret: float | None) -> str:
    return _FAILED if cell is None or regret is None else f"{cell.test:.4f} ({regret:.1f})"


def _fit(
    name: str, candidate: tuple[str, Mapping[str, Any]], development_set: DevelopmentSet, metric: str
) -> Cell | None:
    file, change = candidate
    overlay = _merged(change, development_set.overlay)
    if development_set.room is not None:
        own = yaml.safe_load(Path(config(file)).read_text())["data"]["init_args"]["look_back"]
        overlay.setdefault("data", {})
        overlay["data"] = _merged(overlay["data"], {"init_args": {"look_back": min(own, development_set.room)}})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.yaml"
        path.write_text(yaml.safe_dump(overlay or {"seed_everything": 0}))
        try:
            answer = run(
                "compare", config(file), "--root", folder, *development_set.options, "--", "-c", str(path)
            ).answer
        except RuntimeError as error:
            print(f"{name}: {str(error).strip().splitlines()[-1]}", flush=True)
            return None
    (row,) = answer["rows"]
    print(f"{name}: {row['metrics']}", flush=True)
    metrics = row["metrics"]
    return Cell(metrics[f"val/{metric}"], metrics[f"test/{metric}"], row["cpu_seconds"])


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: value for key, value in first.items() if key in second}
    return {
        **first,
        **{
            key: _merged(both[key], value) if isinstance(both.get(key), Mapping) else value
            for key, value in second.items()
        },
    }
