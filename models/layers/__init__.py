"""Layers that know no task."""

from models.layers.reversible_norm import ReversibleNorm
from models.layers.router_attention import RouterAttention
from models.layers.standardize import Standardize

__all__ = ["ReversibleNorm", "RouterAttention", "Standardize"]
