"""Transfer: every shipped config of a family, unchanged, on every development set of its kind, and its regret there.

The regret of a config on a set is what it loses against the best config of that set: per cent of an error, points of an
accuracy. Defaults are those with the least mean regret on validation; regret on test is printed beside it, and chosen on
by nobody. Sets that others keep back are not read here.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from benchmarks.measure import run
from benchmarks.page import CONFIGS, config, table

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
        leave_out: Configs of the family that are not fitted, and why, for the page.
    """

    metric: str
    higher: bool
    configs: tuple[str, ...]
    sets: Mapping[str, DevelopmentSet]
    leave_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A config on a set: its metric on validation and test, and the CPU seconds of a fit."""

    val: float
    test: float
    cpu_seconds: float


def measure(kind: Kind) -> str:
    """Fits and tests all configs of a kind on all of its sets: the table of values and regrets."""
    cells = {
        (name, its_set): _fit(name, development_set, kind.metric)
        for its_set, development_set in kind.sets.items()
        for name in kind.configs
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
    for name in kind.configs:
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
        f"Configs as shipped, one fit on each set but for seeds or folds that the set names; `{kind.metric}` on test, in "
        f"brackets the regret in {unit}: what is lost against the best row of the set. Rows are in the order of the mean "
        f"regret on validation, over the sets that the config takes; '{_FAILED}' is a set that it does not.{left_out}\n\n"
    ) + table(header, *("|".join(cells) for *_, cells in sorted(rows, key=lambda row: row[:2])))


def _regret(value: float, values: list[float], *, higher: bool) -> float:
    return 100 * (max(values) - value) if higher else 100 * (value / min(values) - 1)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _shown(cell: Cell | None, regret: float | None) -> str:
    return _FAILED if cell is None or regret is None else f"{cell.test:.4f} ({regret:.1f})"


def _fit(name: str, development_set: DevelopmentSet, metric: str) -> Cell | None:
    overlay: dict[str, Any] = {section: dict(content) for section, content in development_set.overlay.items()}
    if development_set.room is not None:
        own = yaml.safe_load(Path(config(name)).read_text())["data"]["init_args"]["look_back"]
        overlay.setdefault("data", {})
        overlay["data"] = _merged(overlay["data"], {"init_args": {"look_back": min(own, development_set.room)}})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.yaml"
        path.write_text(yaml.safe_dump(overlay or {"seed_everything": 0}))
        try:
            answer = run(
                "compare", config(name), "--root", folder, *development_set.options, "--", "-c", str(path)
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


def _shipped(pattern: str, *, leave_out: tuple[str, ...] = ()) -> tuple[str, ...]:
    names = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.glob(f"{pattern}.yaml"))
    return tuple(name for name in names if name not in leave_out)


def _series(horizon: int, **init_args: Any) -> dict[str, Any]:
    return {"data": {"init_args": {"horizon": horizon, "missing": "fill", **init_args}}}


def _market(symbol: str) -> dict[str, Any]:
    return {"class_path": "DailyMarket", "init_args": {"symbol": symbol}}


def forecasting() -> str:
    """Forecasting configs of ETTh1 on six other series."""
    bikes = {
        "class_path": "TableFile",
        "init_args": {
            "path": "bike_sharing/hour.csv",
            "time_column": ["dteday", "hr"],
            "time_format": "%Y-%m-%d %H",
            "frequency": "1h",
            "channels": ["cnt"],
        },
    }
    leave_out = {
        **dict.fromkeys(("forecasting/etth1_distilled", "forecasting/etth1_ensemble"), "which is made of other fits"),
        **dict.fromkeys(("forecasting/etth1_deepar", "forecasting/etth1_tft"), "whose fits are the dearest"),
    }
    return measure(
        Kind(
            metric="mse",
            higher=False,
            configs=("forecasting/exchange_naive", *_shipped("forecasting/etth1_*", leave_out=tuple(leave_out))),
            leave_out=leave_out,
            sets={
                "ETTh1, 96": DevelopmentSet({"data": {"init_args": {"series": "ETT"}}}),
                "exchange rates, 96": DevelopmentSet(_series(96, series="ExchangeRate"), room=336),
                "bike sharing, 24": DevelopmentSet(_series(24, series=bikes), room=504),
                "CO2, 52": DevelopmentSet(_series(52, series="WeeklyCO2"), room=312),
                "VIX, 21": DevelopmentSet(_series(21, series=_market("vix")), room=256),
                "S&P 500, 21": DevelopmentSet(_series(21, series=_market("sp500")), room=256),
            },
        )
    )


def tables() -> str:
    """Configs of Adult on two small tables."""
    bundled = {
        name: DevelopmentSet(
            {
                "model": {"init_args": {"task": f"models.tasks.{task}"}},
                "data": {
                    "init_args": {
                        "definitions": f"tabular/features/{name}.yaml",
                        "rows": f"sklearn:{name}",
                        "csv": None,
                        "label": label,
                        "label_suffix": "",
                        "batch_size": 32,
                        "split": {
                            "class_path": "datamodules.tabular.RandomSplit",
                            "init_args": {"train": 0.6, "val": 0.2},
                        },
                    }
                },
            },
            options=("--seeds", "0", "1", "2", "3", "4"),
        )
        for name, task, label in (
            ("breast_cancer", "BinaryClassification", "diagnosis"),
            ("wine", "MulticlassClassification", "cultivar"),
        )
    }
    return measure(
        Kind(
            metric="accuracy",
            higher=True,
            configs=_shipped("tabular/adult_*"),
            sets={"Adult": DevelopmentSet(), **bundled},
        )
    )


def nodes() -> str:
    """Node classifiers of Cora on other citations, splits and digits."""

    def cited(name: str, split: str | Mapping[str, Any]) -> dict[str, Any]:
        graph = {"class_path": "datamodules.graph.Planetoid", "init_args": {"name": name}}
        return {"data": {"init_args": {"graph": graph, "split": split}}}

    random = {"class_path": "datamodules.graph.RandomNodeSplit", "init_args": {"train": 0.2, "val": 0.2}}
    seeds = ("--seeds", "0", "1", "2")
    return measure(
        Kind(
            metric="accuracy",
            higher=True,
            configs=_shipped("graph/cora_[ag]*", leave_out=()),
            sets={
                "Cora, public": DevelopmentSet(cited("Cora", "datamodules.graph.PublicSplit"), options=seeds),
                "CiteSeer, public": DevelopmentSet(cited("CiteSeer", "datamodules.graph.PublicSplit"), options=seeds),
                "Cora, 20 %": DevelopmentSet(cited("Cora", random), options=seeds),
                "digits, 20 %": DevelopmentSet(
                    {"data": {"init_args": {"graph": "datamodules.graph.DigitsGraph", "split": random}}}, options=seeds
                ),
            },
        )
    )


def graphs() -> str:
    """Graph classifiers of proteins on molecules."""
    return measure(
        Kind(
            metric="accuracy",
            higher=True,
            configs=_shipped("graph/proteins_*"),
            sets={
                name: DevelopmentSet(
                    {
                        "data": {
                            "init_args": {
                                "graphs": {"class_path": "datamodules.graph.TUDataset", "init_args": {"name": name}}
                            }
                        }
                    },
                    options=("--splits", "5"),
                )
                for name in ("MUTAG", "PROTEINS")
            },
        )
    )


def links() -> str:
    """Link predictors of Cora and CiteSeer on each other's edges."""
    return measure(
        Kind(
            metric="auc",
            higher=True,
            configs=_shipped("graph/*_link*"),
            sets={
                name: DevelopmentSet(
                    {
                        "data": {
                            "init_args": {
                                "graph": {"class_path": "datamodules.graph.Planetoid", "init_args": {"name": name}}
                            }
                        }
                    },
                    options=("--seeds", "0", "1", "2"),
                )
                for name in ("Cora", "CiteSeer")
            },
        )
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "transfer_forecasting": forecasting,
    "transfer_tables": tables,
    "transfer_nodes": nodes,
    "transfer_graphs": graphs,
    "transfer_links": links,
}
