"""Graph networks, and the LightningModules that train them; require PyG (the extra `graph`)."""

from models.graph.decoders import CosineDecoder, HadamardMLPDecoder, InnerProductDecoder, LinkDecoder
from models.graph.encoders.appnp import APPNP
from models.graph.encoders.classic import ClassicGNN
from models.graph.encoders.encoder import GraphEncoder
from models.graph.encoders.gat import GAT
from models.graph.encoders.gcn import GCN, GCNLayer
from models.graph.encoders.gcnii import GCNII
from models.graph.encoders.gin import GIN
from models.graph.encoders.gps import GPS
from models.graph.encoders.hetero import HeteroSAGE
from models.graph.encoders.node_mlp import NodeMLP
from models.graph.encoders.sage import GraphSAGE
from models.graph.explanation.gnn_explainer import Explanation, explain_node
from models.graph.export.onnx_export import export_onnx
from models.graph.graph_predictor import GraphPredictor, ReadoutHead
from models.graph.link_predictor import LinkPredictor, LinkRanker
from models.graph.node_classifier import NodeClassifier
from models.graph.structure.structural_decoder import StructuralDecoder
from models.graph.structure.subgraph_decoder import SubgraphDecoder

__all__ = [
    "APPNP",
    "GAT",
    "GCN",
    "GCNII",
    "GIN",
    "GPS",
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
    "StructuralDecoder",
    "SubgraphDecoder",
    "explain_node",
    "export_onnx",
]
