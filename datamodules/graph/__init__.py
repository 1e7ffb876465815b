"""Graph data: sources, splits and data modules; requires PyG (the extra `graph`)."""

from datamodules.graph.graph_data import GraphDataModule
from datamodules.graph.link_data import LinkDataModule
from datamodules.graph.node_data import NodeDataModule
from datamodules.graph.node_embeddings import DeepWalkFeatures
from datamodules.graph.node_features import ConstantFeature, DegreeFeatures, IdentityFeatures, NodeFeatures
from datamodules.graph.sampling.neighbor_sampler import NeighborSampler
from datamodules.graph.sources.bundled import DigitsGraph, KarateClub
from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.graph_table import GraphSetTable, GraphTable
from datamodules.graph.sources.hetero_table import EdgeTable, HeteroGraphTable, NodeTable
from datamodules.graph.sources.npz_graph import NpzGraph
from datamodules.graph.sources.planetoid import Planetoid
from datamodules.graph.sources.published_npz import Amazon, Coauthor, Heterophilous
from datamodules.graph.sources.source import GraphSetSource, GraphSource
from datamodules.graph.sources.tudataset import TUDataset
from datamodules.graph.splits.graph_split import (
    GraphIndices,
    GraphShareSplit,
    GraphSplit,
    RandomGraphSplit,
    StratifiedFolds,
    XuFolds,
)
from datamodules.graph.splits.hard_negatives import HardNegatives
from datamodules.graph.splits.link_split import Links, LinkShares, LinkSplit, RandomLinkSplit, SplitLinks
from datamodules.graph.splits.node_split import (
    GivenSplit,
    NodeIndices,
    NodeSplit,
    PublicSplit,
    RandomNodeSplit,
    ShareSplit,
)
from datamodules.graph.splits.published_split import ErricaFolds, GeomGCNSplit, LuoSplit, ShchurSplit
from datamodules.graph.walk_encodings import RandomWalkFeatures

__all__ = [
    "Amazon",
    "Coauthor",
    "ConstantFeature",
    "DeepWalkFeatures",
    "DegreeFeatures",
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
    "HardNegatives",
    "HeteroGraphTable",
    "Heterophilous",
    "IdentityFeatures",
    "KarateClub",
    "LinkDataModule",
    "LinkShares",
    "LinkSplit",
    "Links",
    "LuoSplit",
    "NeighborSampler",
    "NodeDataModule",
    "NodeFeatures",
    "NodeIndices",
    "NodeSplit",
    "NodeTable",
    "NpzGraph",
    "Planetoid",
    "PublicSplit",
    "RandomGraphSplit",
    "RandomLinkSplit",
    "RandomNodeSplit",
    "RandomWalkFeatures",
    "ShareSplit",
    "ShchurSplit",
    "SplitLinks",
    "StratifiedFolds",
    "TUDataset",
    "XuFolds",
]
