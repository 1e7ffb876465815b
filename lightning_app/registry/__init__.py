"""Model registry: packages as versions of a model, with aliases protected by gates; stored in MLflow."""

from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.registered import ResolvedModel, Version
from lightning_app.registry.registry import Registry
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
