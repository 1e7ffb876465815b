"""GraphEncoder, the interface of networks that compute a vector per node."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.adjacency import normalized_matrix
from models.graph.encoders.sparse_matrix import SparseMatrix


class GraphEncoder(nn.Module, ABC):
    """Maps node features and edges to a vector per node.

    Any module with such a `forward` can be used as an encoder, e.g. PyG's models. Subclasses of this one also support
    sparse features, and can precompute what depends on the edges alone.

    Attributes:
        output_size: Output features per node, D.
        takes_sparse: Whether sparse features are supported; otherwise they are converted to dense.
        takes_graphs: Whether `forward` also takes `batch` and `graphs`, for the nodes of each graph of a batch.
    """

    output_size: int
    takes_sparse: bool = False
    takes_graphs: bool = False

    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> "Tensor | SparseMatrix":  # noqa: ARG002
        """Precomputes a replacement for the edges in `forward`, for graphs that are used repeatedly.

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
            edge_index: int64 (2, E), sources and targets; or the result of `prepare`.
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
    """Raises unless the encoder has at least one layer."""
    if num_layers < 1:
        raise ValueError(f"model.encoder.num_layers: {num_layers} given, at least 1 is needed")


def refuse_weights(encoder: nn.Module, edge_weight: Tensor | None) -> None:
    """Raises if edge weights are passed to an encoder that would ignore them."""
    if edge_weight is not None:
        raise ValueError(
            f"model.encoder: {type(encoder).__name__} takes no edge weights, which the graph has; "
            "choose one that does (GCN, APPNP, GCNII), or take the weights out of the data section"
        )
