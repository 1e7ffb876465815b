"""The shipped config of links without features, on a graph like a power grid: sparse, wide, few common neighbours."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import CONFIGS, run_folders


def write_grid(side: int) -> None:
    """A square lattice of which two fifths of the edges are missing: 2.4 per node, no triangles."""
    generator = np.random.default_rng(0)
    nodes = np.arange(side**2).reshape(side, side)
    right, down = (nodes[:, :-1], nodes[:, 1:]), (nodes[:-1], nodes[1:])
    edges = np.concatenate([np.stack([one.ravel(), other.ravel()], axis=1) for one, other in (right, down)])
    kept = edges[generator.random(len(edges)) < 0.6]
    pl.DataFrame(kept, schema=["source", "target"]).write_csv("edges.csv")
    pl.DataFrame({"id": nodes.ravel()}).write_csv("nodes.csv")


@pytest.mark.slow
def test_the_shipped_structure_does_not_collapse_where_pairs_share_no_neighbours() -> None:
    write_grid(25)
    graph = (
        "--data.graph=datamodules.graph.GraphTable",
        "--data.graph.nodes=nodes.csv",
        "--data.graph.edges=edges.csv",
    )
    config = str(CONFIGS / "graph/cora_links_structure.yaml")
    assert main(["fit", "-c", config, *graph, "--trainer.max_epochs=150"]) == 0
    (folder,) = run_folders(Path("runs"))
    (checkpoint,) = folder.glob("checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    assert json.loads((folder / "metrics.json").read_text())["test/auc"] > 0.75
