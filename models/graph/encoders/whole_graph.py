"""Encoding of a batch; inputs that depend only on a fixed graph are computed once and cached."""

from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData

from models.graph.encoders.encoder import GraphEncoder, refuse_weights
from models.graph.encoders.hetero import edge_type_name
from models.graph.encoders.sparse_matrix import as_dense, as_features
from models.output_shape import check_output


class PreparedGraphs:
    """Cache of prepared whole graphs, by object lifetime; copies and pickles of it start empty."""

    def __init__(self) -> None:
        # Keyed by id, as PyG's Data is not hashable.
        self._prepared: dict[int, tuple[ref[Data], GraphEncoder, tuple[Any, Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def of(self, encoder: GraphEncoder, batch: Data) -> tuple[Any, Any]:
        """Features and edges of a graph in the form that the encoder takes."""
        key = id(batch)
        known = self._prepared.get(key)
        if known is None or known[0]() is not batch or known[1] is not encoder:
            edges = encoder.prepare(batch.edge_index, batch.get("edge_weight"), batch.x.shape[0])
            reference = ref(batch, lambda _: self._prepared.pop(key, None))
            known = self._prepared[key] = (reference, encoder, (_features(encoder, batch.x), edges))
        return known[2]


def encode(
    encoder: nn.Module,
    batch: Data | HeteroData,
    prepared: PreparedGraphs | None = None,
    *,
    width: int | None = None,
    meaning: str = "(nodes, numbers per node)",
) -> Tensor:
    """Encodes the nodes of a batch; of a heterogeneous graph, the nodes of the encoder's target type.

    Args:
        encoder: The encoder.
        batch: A graph, or a sampled subgraph; `whole_graph` is True if the same object is used repeatedly.
        prepared: Cache of prepared whole graphs.
        width: Required output size, D; None for the encoder's `output_size`, or any.
        meaning: The required output shape in words.

    Returns:
        (N, D).

    Raises:
        ValueError: The output has another shape.
    """
    encoded = _encoded(encoder, batch, prepared)
    size: Any = width if width is not None else getattr(encoder, "output_size", None)
    num_nodes = None if isinstance(batch, HeteroData) else batch.x.shape[0]
    check_output(encoded, (num_nodes, size), part=encoder, key="model.encoder", meaning=meaning)
    return encoded


def _encoded(encoder: nn.Module, batch: Data | HeteroData, prepared: PreparedGraphs | None) -> Any:
    if isinstance(batch, HeteroData):
        for store in batch.edge_stores:
            refuse_weights(encoder, store.get("edge_weight"))
        return encoder(
            {name: _as_trained(encoder, as_dense(x)) for name, x in batch.x_dict.items()},
            {edge_type_name(edge_type): edges for edge_type, edges in batch.edge_index_dict.items()},
        )
    edge_weight = batch.get("edge_weight")
    if not isinstance(encoder, GraphEncoder):
        weight = () if edge_weight is None else (edge_weight,)
        return encoder(_as_trained(encoder, as_dense(batch.x)), batch.edge_index, *weight)
    if prepared is not None and batch.get("whole_graph"):
        return encoder(*prepared.of(encoder, batch))
    if encoder.takes_graphs and "graph_id" in batch:
        features: Any = _features(encoder, batch.x)
        return encoder(features, batch.edge_index, edge_weight, batch=batch.batch, graphs=batch.graph_id)
    return encoder(_features(encoder, batch.x), batch.edge_index, edge_weight)


def _features(encoder: GraphEncoder, x: Tensor) -> Any:
    if encoder.takes_sparse and x.layout == torch.sparse_csr:
        return as_features(x)
    return _as_trained(encoder, as_dense(x))


def _as_trained(encoder: nn.Module, x: Tensor) -> Tensor:
    """Casts dense features to the dtype of the weights."""
    weight = next(encoder.parameters(), None)
    return x if weight is None else x.to(weight.dtype)
