"""Graph networks, and the LightningModules that train them; needs the extra `graph`."""

from models.graph.appnp import APPNP
from models.graph.classic import ClassicGNN
from models.graph.encoder import GraphEncoder
from models.graph.gat import GAT
from models.graph.gcn import GCN, GCNLayer
from models.graph.gcnii import GCNII
from models.graph.hetero import HeteroSAGE
from models.graph.node_classifier import NodeClassifier

__all__ = ["APPNP", "GAT", "GCN", "GCNII", "ClassicGNN", "GCNLayer", "GraphEncoder", "HeteroSAGE", "NodeClassifier"]
