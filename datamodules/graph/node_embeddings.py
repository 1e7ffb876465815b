"""DeepWalkFeatures: node embeddings of random walks as features of nodes."""

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh
from torch import Tensor
from typing_extensions import override

from datamodules.graph.node_features import NodeFeatures


class DeepWalkFeatures(NodeFeatures):
    """Embeddings that DeepWalk converges to, by factorising its matrix of co-occurrences instead of sampling walks.

    Source: Qiu et al., "Network embedding as matrix factorization: unifying DeepWalk, LINE, PTE, and node2vec", WSDM
    2018, NetMF for small windows. A pair's own edge is among the walks: on training links embeddings look better than
    on held-out ones.

    Args:
        size: Numbers per node, below the number of nodes.
        window: Steps of a walk within which two nodes occur together.
        negatives: Negative samples per pair, as in word2vec.
        max_nodes: Larger graphs are refused: a dense matrix takes 8 bytes per pair of nodes, several times.
    """

    of_one_graph = True

    def __init__(self, *, size: int = 64, window: int = 10, negatives: float = 1.0, max_nodes: int = 10_000) -> None:
        for name, value in (("size", size), ("window", window)):
            if value < 1:
                raise ValueError(f"data.features.{name}: {value} given, at least 1 is needed")
        if negatives <= 0:
            raise ValueError(f"data.features.negatives: {negatives:g} given, it must be above 0")
        self.size = size
        self.window = window
        self.negatives = negatives
        self.max_nodes = max_nodes

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        """See `NodeFeatures.compute`; the direction of edges is ignored, nodes without edges get zeros."""
        if self.size >= num_nodes:
            raise ValueError(
                f"data.features.size: {self.size} given for a graph of {num_nodes} nodes; give at most {num_nodes - 1}"
            )
        if num_nodes > self.max_nodes:
            raise ValueError(
                f"data.features: DeepWalkFeatures needs matrices of {8 * num_nodes**2 / 1e9:,.1f} GB for {num_nodes:,} "
                f"nodes, max_nodes is {self.max_nodes:,}; raise it, or take IdentityFeatures, which learn a vector per "
                "node"
            )
        source, target = edge_index.numpy()
        ends = np.concatenate([source, target]), np.concatenate([target, source])
        adjacency = csr_array((np.ones(2 * len(source)), ends), shape=(num_nodes, num_nodes))
        adjacency.data[:] = 1  # repeated edges were added up
        degree = adjacency.sum(axis=1)
        inverse = 1 / np.maximum(degree, 1)
        walk = csr_array(adjacency.multiply(inverse[:, None]))  # D^-1 A
        step = np.diag(inverse)
        together = np.zeros_like(step)
        for _ in range(self.window):
            step = walk @ step
            together += step
        together *= degree.sum() / (self.window * self.negatives)
        logarithms = np.log(np.maximum(together, 1))  # symmetric
        values, vectors = eigsh(logarithms, k=self.size, which="LM", v0=np.random.default_rng(0).normal(size=num_nodes))
        order = np.argsort(-np.abs(values))
        vectors = vectors[:, order] * np.sqrt(np.abs(values[order]))
        vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(self.size)])  # the solver's sign is arbitrary
        return torch.from_numpy(vectors).float()

    @override
    def describe(self) -> str:
        return f"DeepWalk embeddings of size {self.size}, window {self.window}"
