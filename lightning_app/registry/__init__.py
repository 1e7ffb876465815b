"""Packages as versions of a model, with aliases that gates guard; kept by MLflow."""

from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.registry import Registry, ResolvedModel, Version
from lightning_app.registry.storage.errors import (
    PromotionConflictError,
    PromotionRefusedError,
    RegistryUnreachableError,
)

__all__ = [
    "GateFile",
    "PromotionConflictError",
    "PromotionRefusedError",
    "Registry",
    "RegistryUnreachableError",
    "ResolvedModel",
    "Version",
]
