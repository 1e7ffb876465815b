"""Networks on graphs; needs PyG (the extra `graph`)."""

from models.graph.encoder import GraphEncoder
from models.graph.gcn import GCN
from models.graph.gin import GIN
from models.graph.graph_predictor import GraphPredictor, ReadoutHead
from models.graph.node_classifier import NodeClassifier
from models.graph.node_mlp import NodeMLP
from models.graph.sage import GraphSAGE

__all__ = ["GCN", "GIN", "GraphEncoder", "GraphPredictor", "GraphSAGE", "NodeClassifier", "NodeMLP", "ReadoutHead"]
