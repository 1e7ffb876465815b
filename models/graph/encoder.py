"""What every encoder of a graph gives: a vector per node."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import scatter

from models.graph.sparse_matrix import SparseMatrix


class GraphEncoder(nn.Module, ABC):
    """Maps the features of nodes and the edges between them to a vector per node.

    Any module with such a `forward` can take an encoder's place, PyG's models among them; what comes on top here is
    that features may be sparse, and that what depends on the edges alone can be computed once.

    Attributes:
        output_size: Numbers per node that come out, D.
    """

    output_size: int

    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> "Tensor | SparseMatrix":
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


class WeightedEdges:
    """A matrix (N, N) given by its edges; multiplied by gathering and scattering, which exports to ONNX.

    Args:
        edge_index: int64 (2, E), sources and targets.
        edge_weight: (E,).
    """

    def __init__(self, edge_index: Tensor, edge_weight: Tensor) -> None:
        self.edge_index = edge_index
        self.edge_weight = edge_weight

    def __matmul__(self, dense: Tensor) -> Tensor:
        source, target = self.edge_index
        return scatter(self.edge_weight.unsqueeze(-1) * dense[source], target, dim_size=len(dense))


Adjacency = SparseMatrix | WeightedEdges


class ConvolutionalEncoder(GraphEncoder):
    """An encoder over the symmetrically normalised adjacency D^-1/2 (A + I) D^-1/2 (Kipf & Welling, 2017)."""

    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> SparseMatrix:
        """The normalised adjacency (N, N)."""
        normalized, weight = gcn_norm(edge_index, edge_weight, num_nodes)
        return SparseMatrix.from_edges(normalized, weight, num_nodes)

    def adjacency(self, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None, num_nodes: int) -> Adjacency:
        """What was prepared, or the normalised edges."""
        if isinstance(edge_index, SparseMatrix):
            return edge_index
        return WeightedEdges(*gcn_norm(edge_index, edge_weight, num_nodes))


def refuse_weights(encoder: nn.Module, edge_weight: Tensor | None) -> None:
    """Raises where edge weights are given to an encoder that would ignore them."""
    if edge_weight is not None:
        raise ValueError(
            f"model.encoder: {type(encoder).__name__} takes no edge weights, which the graph has; "
            "choose one that does (GCN, APPNP, GCNII), or take the weights out of the data section"
        )
