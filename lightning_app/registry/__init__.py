"""Model registry: packages as versions of a model, with aliases protected by gates; stored in MLflow.

Each name is imported on first access: who only watches aliases (`storage.alias_reader`) loads no numpy.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
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

_MODULES = {
    "GateFile": "promotion.gate_file",
    "PromotionConflictError": "storage.errors",
    "PromotionRefusedError": "storage.errors",
    "Registry": "registry",
    "RegistryUnreachableError": "storage.errors",
    "ResolvedModel": "registered",
    "Version": "registered",
}


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return getattr(_import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
