"""Small sets of graphs, in memory and as tables."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from datamodules.graph import FlatGraphs, GraphSetSource


def draw_graphs(
    seed: int, *, num_graphs: int = 12, num_features: int = 3, empty: tuple[int, ...] = (), regression: bool = False
) -> FlatGraphs:
    """Random graphs of 1 to 7 nodes; the class, or a target around 1,000, is about the number of edges."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, num_graphs)
    sizes[list(empty)] = 0
    edges = []
    for size in sizes:
        upper = np.argwhere(np.triu(rng.random((size, size)) < 0.5, 1))
        edges.append(np.concatenate([upper, upper[:, ::-1]]).T.reshape(2, -1))
    counts = np.array([edge.shape[1] for edge in edges])
    target = 1000 + 50.0 * counts
    return FlatGraphs(
        x=torch.from_numpy(rng.standard_normal((sizes.sum(), num_features))).float(),
        edge_index=torch.from_numpy(np.concatenate(edges, axis=1)).long(),
        node_ptr=torch.from_numpy(np.r_[0, sizes.cumsum()]),
        edge_ptr=torch.from_numpy(np.r_[0, counts.cumsum()]),
        y=torch.from_numpy(target[:, None]).float()
        if regression
        else torch.from_numpy(counts > np.median(counts)).long(),
        class_names=None if regression else ["sparse", "dense"],
    )


class InMemory(GraphSetSource):
    """A set of graphs that is there already."""

    def __init__(self, graphs: FlatGraphs) -> None:
        self._graphs = graphs

    @property
    def name(self) -> str:
        return "drawn"

    def load(self) -> FlatGraphs:
        return self._graphs

    def checksums(self) -> dict[str, str]:
        return {}


def write_tables(folder: Path, graphs: FlatGraphs) -> dict[str, str]:
    """Writes the three tables that `GraphSetTable` reads; returns its arguments."""
    node_graph = np.repeat(np.arange(len(graphs)), graphs.node_ptr.diff())
    edge_graph = np.repeat(np.arange(len(graphs)), graphs.edge_ptr.diff())
    nodes = {"graph": node_graph, "id": np.arange(len(node_graph)) - graphs.node_ptr.numpy()[node_graph]}
    features = {f"f{index}": column for index, column in enumerate(graphs.x.numpy().T)}
    source, target = graphs.edge_index.numpy()
    label = graphs.y[:, 0].double() if graphs.y.is_floating_point() else graphs.y
    tables = {
        "nodes": nodes | features,
        "edges": {"graph": edge_graph, "source": source, "target": target},
        "graphs": {"graph": np.arange(len(graphs)), "label": label.numpy()},
    }
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
    return {**{name: str(folder / f"{name}.parquet") for name in tables}, "label": "label"}
