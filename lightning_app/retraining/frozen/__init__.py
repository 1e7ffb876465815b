"""Frozen data: what a cycle trains and is judged on, at one cut, never changed."""

from lightning_app.retraining.frozen.errors import BrokenContractError, FreezeError, TooFewRowsError
from lightning_app.retraining.frozen.freeze import freeze
from lightning_app.retraining.frozen.frozen_set import FrozenManifest, FrozenSet, read_frozen_set

__all__ = [
    "BrokenContractError",
    "FreezeError",
    "FrozenManifest",
    "FrozenSet",
    "TooFewRowsError",
    "freeze",
    "read_frozen_set",
]
