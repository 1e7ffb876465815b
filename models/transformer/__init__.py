"""Transformer networks."""

from models.transformer.patch import PatchTransformer
from models.transformer.phase import PhaseTransformer

__all__ = ["PatchTransformer", "PhaseTransformer"]
