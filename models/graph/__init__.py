"""Graph networks, and the LightningModules that train them; needs PyG (the extra `graph`)."""

from models.graph.appnp import APPNP
from models.graph.classic import ClassicGNN
from models.graph.decoders import CosineDecoder, HadamardMLPDecoder, InnerProductDecoder, LinkDecoder
from models.graph.encoder import GraphEncoder
from models.graph.explanation import Explanation, explain_node
from models.graph.gat import GAT
from models.graph.gcn import GCN, GCNLayer
from models.graph.gcnii import GCNII
from models.graph.gin import GIN
from models.graph.graph_predictor import GraphPredictor, ReadoutHead
from models.graph.hetero import HeteroSAGE
from models.graph.link_predictor import LinkPredictor, LinkRanker
from models.graph.node_classifier import NodeClassifier
from models.graph.node_mlp import NodeMLP
from models.graph.onnx_export import export_onnx
from models.graph.sage import GraphSAGE

__all__ = [
    "APPNP",
    "GAT",
    "GCN",
    "GCNII",
    "GIN",
    "ClassicGNN",
    "CosineDecoder",
    "Explanation",
    "GCNLayer",
    "GraphEncoder",
    "GraphPredictor",
    "GraphSAGE",
    "HadamardMLPDecoder",
    "HeteroSAGE",
    "InnerProductDecoder",
    "LinkDecoder",
    "LinkPredictor",
    "LinkRanker",
    "NodeClassifier",
    "NodeMLP",
    "ReadoutHead",
    "explain_node",
    "export_onnx",
]
