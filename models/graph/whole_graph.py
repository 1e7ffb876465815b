"""Encoding a batch, with what depends on a fixed graph alone computed once."""

from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData

from models.graph.encoder import GraphEncoder
from models.graph.hetero import edge_type_name
from models.graph.sparse_matrix import as_dense, as_features


def encode(encoder: nn.Module, batch: Data | HeteroData) -> Tensor:
    """A vector for each node of a batch; of a graph with types, for each node of the type that the encoder is for.

    The batch of a whole graph is one object, which the data module gives at every step: what the encoder can prepare
    from its edges and features stays on it.

    Args:
        encoder: The encoder.
        batch: A graph, or a sampled part of one; `whole_graph` is True if it comes again.

    Returns:
        (N, D).
    """
    if isinstance(batch, HeteroData):
        return encoder(
            {name: as_dense(x) for name, x in batch.x_dict.items()},
            {edge_type_name(edge_type): edges for edge_type, edges in batch.edge_index_dict.items()},
        )
    edge_weight = batch.get("edge_weight")
    if not isinstance(encoder, GraphEncoder):
        weight = () if edge_weight is None else (edge_weight,)
        return encoder(as_dense(batch.x), batch.edge_index, *weight)
    if not batch.get("whole_graph"):
        return encoder(as_features(batch.x), batch.edge_index, edge_weight)
    if batch.get("prepared_for") is not encoder:
        batch.prepared = (as_features(batch.x), encoder.prepare(batch.edge_index, edge_weight, batch.x.shape[0]))
        batch.prepared_for = encoder
    features, edges = batch.prepared
    return encoder(features, edges)
