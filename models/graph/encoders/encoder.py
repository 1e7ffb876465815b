"""What every encoder of a graph gives: a vector per node."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.adjacency import normalized_matrix
from models.graph.encoders.sparse_matrix import SparseMatrix


class GraphEncoder(nn.Module, ABC):
    """Maps the features of nodes and the edges between them to a vector per node.

    Any module with such a `forward` can take an encoder's place, PyG's models among them; what comes on top here is
    that features may be sparse, and that what depends on the edges alone can be computed once.

    Attributes:
        output_size: Numbers per node that come out, D.
        takes_sparse: Sparse features stay sparse; otherwise they are made dense first.
    """

    output_size: int
    takes_sparse: bool = False

    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> "Tensor | SparseMatrix":  # noqa: ARG002
        """What `forward` can take in place of the edges of a graph that it sees again and again.

        Args:
            edge_index: int64 (2, E), sources and targets.
            edge_weight: float32 (E,), or None.
            num_nodes: N.
        """
        refuse_weights(self, edge_weight)
        return edge_index

    @abstractmethod
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Encodes every node.

        Args:
            x: float32 (N, F), dense or sparse.
            edge_index: int64 (2, E), sources and targets; or what `prepare` made of them.
            edge_weight: float32 (E,), or None.

        Returns:
            (N, D).
        """


class ConvolutionalEncoder(GraphEncoder):
    """An encoder over the symmetrically normalised adjacency."""

    takes_sparse = True

    @override
    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> SparseMatrix:
        return normalized_matrix(edge_index, edge_weight, num_nodes)


def check_num_layers(num_layers: int) -> None:
    """Refuses a stack without a layer."""
    if num_layers < 1:
        raise ValueError(f"model.encoder.num_layers: {num_layers} given, at least 1 is needed")


def refuse_weights(encoder: nn.Module, edge_weight: Tensor | None) -> None:
    """Raises where edge weights are given to an encoder that would ignore them."""
    if edge_weight is not None:
        raise ValueError(
            f"model.encoder: {type(encoder).__name__} takes no edge weights, which the graph has; "
            "choose one that does (GCN, APPNP, GCNII), or take the weights out of the data section"
        )
