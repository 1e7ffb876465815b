"""Packages as versions of a model, with aliases that gates guard; kept by MLflow."""

from lightning_app.registry.errors import PromotionConflictError, PromotionRefusedError, RegistryUnreachableError
from lightning_app.registry.gate_file import GateFile
from lightning_app.registry.registry import Registry, ResolvedModel, Version

__all__ = [
    "GateFile",
    "PromotionConflictError",
    "PromotionRefusedError",
    "Registry",
    "RegistryUnreachableError",
    "ResolvedModel",
    "Version",
]
