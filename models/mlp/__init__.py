"""Multilayer perceptrons for forecasting."""

from models.mlp.nbeats import NBEATS
from models.mlp.nhits import NHiTS
from models.mlp.tide import TiDE

__all__ = ["NBEATS", "NHiTS", "TiDE"]
