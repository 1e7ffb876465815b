"""Explanation: `lightning-app explain` ranks the edges that the prediction for a node depends on; table and picture."""

import argparse
from typing import Any

import numpy as np
import polars as pl

from lightning_app.cli import quiet
from lightning_app.cli.trained_run import TrainedRun
from lightning_app.errors import UsageError
from lightning_app.evaluation.explanation_picture import draw_explanation
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first. Words after `--` override the config.
    """
    parser = VerbParser("explain", description=__doc__, trusts=True, epilog="Words after -- override the config.")
    parser.add_argument("--ckpt_path", required=True, help="a file, or 'best' or 'last' of the config given with -c")
    parser.add_argument("-c", "--config", action="append", default=[], help="config file; a run folder brings its own")
    parser.add_argument("--node", required=True, help="the node, as predictions.parquet names it")
    parser.add_argument("--epochs", type=int, default=100, help="steps of the search")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    arguments, options = parser.split(args)
    quiet()
    configs = [word for config in arguments.config for word in ("--config", config)]
    _explain(arguments, TrainedRun(["--ckpt_path", arguments.ckpt_path, *configs, *options]))


def _explain(arguments: argparse.Namespace, trained: TrainedRun) -> None:
    module, data = trained.model, trained.datamodule
    if type(module).__module__.split(".")[:2] != ["models", "graph"]:  # checked by name: PyG may not be installed
        raise UsageError(f"ckpt_path: explain is for models that classify nodes, this one is a {type(module).__name__}")
    from torch_geometric.data import Data

    from datamodules.graph import NodeDataModule
    from models.graph import NodeClassifier, explain_node

    if not isinstance(module, NodeClassifier) or not isinstance(data, NodeDataModule):
        raise UsageError(
            f"ckpt_path: explain is for a NodeClassifier on a NodeDataModule, this is a {type(module).__name__} on a "
            f"{type(data).__name__}"
        )
    graph = data.graph
    if not isinstance(graph, Data):
        raise UsageError("data.graph: the graph has types of nodes; explanations are for graphs of one type")
    trained.differences()  # refuses a graph that has changed since the run was trained
    names = _names(graph)
    node = _number(arguments.node, names)
    explanation = explain_node(module.encoder, graph, node, num_epochs=arguments.epochs, seed=arguments.seed)
    source, target = names[explanation.edges.numpy()]
    order = explanation.strongest(len(explanation.importance)).numpy()
    table = pl.DataFrame({"source": source, "target": target, "importance": explanation.importance.numpy()})[order]
    stem = (
        trained.folder.path / f"explanation_{''.join(c if c.isalnum() or c in '-_' else '_' for c in arguments.node)}"
    )
    table.write_parquet(stem.with_suffix(".parquet"))
    classes = [str(name) for name in graph.get("class_names") or range(data.num_classes)]
    title = f"node {arguments.node}: {_answer(explanation.logits, classes)}"
    alone = f"without any message: {_answer(explanation.logits_alone, classes)}"
    draw_explanation(
        explanation.edges.numpy(), explanation.importance.numpy(), explanation.hops.numpy(), node=node, names=names,
        predicted=explanation.predicted.numpy(), class_names=classes, title=f"{title}; {alone}",
        path=stem.with_suffix(".png"),
    )  # fmt: skip
    reach = "the whole graph" if explanation.num_hops is None else f"what is up to {explanation.num_hops} hops away"
    print(f"{title}\n{alone}\nsearched {reach}, {len(table):,} edges; the most important:")  # noqa: T201
    for row in table.head(10).iter_rows():
        print(f"  {row[0]} -> {row[1]}  {row[2]:.3f}")  # noqa: T201
    print(f"table: {stem.with_suffix('.parquet')}\npicture: {stem.with_suffix('.png')}")  # noqa: T201


def _answer(logits: Any, classes: list[str]) -> str:
    probability, predicted = logits.softmax(-1).max(-1)
    return f"{classes[int(predicted)]}, probability {float(probability):.3f}"


def _names(graph: Any) -> np.ndarray:
    """Node ids of the graph's file, else node indices; shape (N,)."""
    names = graph.get("node_names")
    return np.arange(graph.num_nodes) if names is None else np.asarray(names)


def _number(node: str, names: np.ndarray) -> int:
    """Index of the node with an id.

    Raises:
        UsageError: No node, or more than one, has the id.
    """
    (indices,) = (names.astype(str) == node).nonzero()
    if len(indices) != 1:
        shown = f"{names[0]}, {names[1]} to {names[-1]}" if len(names) > 2 else ", ".join(map(str, names))
        raise UsageError(f"node: {node!r} given, the graph has {len(names):,} nodes: {shown}")
    return int(indices[0])
