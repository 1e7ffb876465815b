"""Transformer networks."""

from models.transformer.inverted import ITransformer
from models.transformer.patch import PatchTransformer
from models.transformer.phase import PhaseTransformer
from models.transformer.temporal_fusion import TemporalFusionTransformer

__all__ = ["ITransformer", "PatchTransformer", "PhaseTransformer", "TemporalFusionTransformer"]
