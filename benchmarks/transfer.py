"""Transfer: every shipped config of a family, unchanged, on every development set of its kind, and its regret there.

Sets that others keep back are not read here.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import polars
from sklearn.datasets import load_digits

from benchmarks.page import CONFIGS
from benchmarks.regret import DevelopmentSet, Kind, measure


def _shipped(pattern: str, *, leave_out: Collection[str] = ()) -> tuple[str, ...]:
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
        "forecasting/etth1_patch": "whose fit on ETTh1 takes about ten CPU minutes",
        **dict.fromkeys(
            ("forecasting/etth1_deepar", "forecasting/etth1_mlp", "forecasting/etth1_tft"),
            "whose fit on ETTh1 takes two to three CPU minutes",
        ),
    }
    return measure(
        Kind(
            metric="mse",
            higher=False,
            configs=("forecasting/exchange_naive", *_shipped("forecasting/etth1_*", leave_out=leave_out)),
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
    seeds = ("--seeds", "0", "1")
    return measure(
        Kind(
            metric="accuracy",
            higher=True,
            configs=_shipped("graph/cora_[ag]*", leave_out=["graph/cora_gcnii"]),
            leave_out={"graph/cora_gcnii": "whose 64 layers take minutes a fit"},
            sets={
                "Cora, public": DevelopmentSet(cited("Cora", "datamodules.graph.PublicSplit"), options=seeds),
                "CiteSeer, public": DevelopmentSet(cited("CiteSeer", "datamodules.graph.PublicSplit"), options=seeds),
                "digits, 20 %": DevelopmentSet(
                    {"data": {"init_args": {"graph": "datamodules.graph.DigitsGraph", "split": random}}}, options=seeds
                ),
            },
        )
    )


def graphs() -> str:
    """Graph classifiers of proteins on molecules and digits, with jumping knowledge and walk encodings."""

    def published(name: str) -> DevelopmentSet:
        source = {"class_path": "datamodules.graph.TUDataset", "init_args": {"name": name}}
        return DevelopmentSet({"data": {"init_args": {"graphs": source}}}, options=("--splits", "3"))

    gin = "graph/proteins_gin"
    sizes = {"hidden_size": 32, "num_layers": 4, "dropout": 0.3, "jumping_knowledge": "max"}
    maximum = {"class_path": "models.graph.GIN", "init_args": sizes}
    walks = {"class_path": "datamodules.graph.RandomWalkFeatures", "init_args": {"steps": 8}}
    with tempfile.TemporaryDirectory() as folder:
        return measure(
            Kind(
                metric="accuracy",
                higher=True,
                configs=_shipped("graph/proteins_*"),
                variants={
                    "GIN, maximum of its layers": (gin, {"model": {"init_args": {"encoder": maximum}}}),
                    "GIN, walks beside the features": (gin, {"data": {"init_args": {"features": walks}}}),
                },
                sets={
                    "digits as graphs": DevelopmentSet(
                        {"data": {"init_args": {"graphs": _digits_as_graphs(folder)}}}, options=("--splits", "2")
                    ),
                    **{name: published(name) for name in ("PROTEINS", "MUTAG")},
                },
            )
        )


def _digits_as_graphs(folder: str) -> dict[str, Any]:
    """600 written digits as graphs: a node per inked pixel with its ink and place, edges between neighbouring pixels."""
    digits = load_digits()
    nodes, edges = [], []
    for graph, image in enumerate(digits.images[:600]):
        inked = {tuple(place) for place in np.argwhere(image >= 4)}
        nodes += [{"graph": graph, "id": 8 * i + j, "ink": image[i, j], "row": i, "column": j} for i, j in inked]
        edges += [
            {"graph": graph, "source": 8 * i + j, "target": 8 * (i + down) + j + right}
            for i, j in inked
            for down, right in ((0, 1), (1, -1), (1, 0), (1, 1))
            if (i + down, j + right) in inked
        ]
    graphs = [{"graph": graph, "digit": str(digit)} for graph, digit in enumerate(digits.target[:600])]
    paths = {}
    for name, rows in (("nodes", nodes), ("edges", edges), ("graphs", graphs)):
        paths[name] = f"{folder}/{name}.parquet"
        polars.DataFrame(rows).write_parquet(paths[name])
    return {"class_path": "datamodules.graph.GraphSetTable", "init_args": {**paths, "label": "digit"}}


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
