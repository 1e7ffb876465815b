"""Graphs: where they come from, and how they are split; needs PyG (the extra `graph`)."""

from datamodules.graph.bundled import DigitsGraph, KarateClub
from datamodules.graph.flat_graphs import FlatGraphs
from datamodules.graph.graph_data import GraphDataModule
from datamodules.graph.graph_split import (
    GraphIndices,
    GraphShareSplit,
    GraphSplit,
    StratifiedFolds,
    XuFolds,
)
from datamodules.graph.graph_table import GraphSetTable, GraphTable
from datamodules.graph.hetero_table import EdgeTable, HeteroGraphTable, NodeTable
from datamodules.graph.neighbor_sampler import NeighborSampler, neighbor_sampler
from datamodules.graph.node_data import NodeDataModule
from datamodules.graph.node_split import (
    GivenSplit,
    NodeIndices,
    NodeSplit,
    PublicSplit,
    ShareSplit,
)
from datamodules.graph.planetoid import Planetoid
from datamodules.graph.published_npz import Amazon, Coauthor, Heterophilous
from datamodules.graph.published_split import ErricaFolds, GeomGCNSplit, LuoSplit
from datamodules.graph.source import GraphSetSource, GraphSource
from datamodules.graph.tudataset import TUDataset

__all__ = [
    "Amazon",
    "Coauthor",
    "DigitsGraph",
    "EdgeTable",
    "ErricaFolds",
    "FlatGraphs",
    "GeomGCNSplit",
    "GivenSplit",
    "GraphDataModule",
    "GraphIndices",
    "GraphSetSource",
    "GraphSetTable",
    "GraphShareSplit",
    "GraphSource",
    "GraphSplit",
    "GraphTable",
    "HeteroGraphTable",
    "Heterophilous",
    "KarateClub",
    "LuoSplit",
    "NeighborSampler",
    "NodeDataModule",
    "NodeIndices",
    "NodeSplit",
    "NodeTable",
    "Planetoid",
    "PublicSplit",
    "ShareSplit",
    "StratifiedFolds",
    "TUDataset",
    "XuFolds",
    "neighbor_sampler",
]
