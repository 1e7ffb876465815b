"""Fusion of modalities, such as a text and the columns beside it: a vector of each, and how they are combined."""

from models.fusion.combinations import Attention, Combination, Concatenation, Gating, Perceptrons
from models.fusion.fusion import Fusion
from models.fusion.modalities import TableModality, TextModality, VectorModality
from models.fusion.modality import Modality

__all__ = [
    "Attention",
    "Combination",
    "Concatenation",
    "Fusion",
    "Gating",
    "Modality",
    "Perceptrons",
    "TableModality",
    "TextModality",
    "VectorModality",
]
