"""Features: one definition that runs in batch, at a point in time, and online, event by event."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from features.definitions import Definitions, Entity, FeatureView, Source

if TYPE_CHECKING:
    from features.batch import fit, training_table
    from features.contracts import Contract
    from features.fitted import Fitted
    from features.online import OnlineFeatures
    from features.store import materialize, open_store
    from features.verification import verify
    from features.versions import open_snapshot

_LAZY = {
    "Contract": "features.contracts",
    "Fitted": "features.fitted",
    "OnlineFeatures": "features.online",
    "fit": "features.batch",
    "materialize": "features.store",
    "open_snapshot": "features.versions",
    "open_store": "features.store",
    "training_table": "features.batch",
    "verify": "features.verification",
}
"""Name -> module that is imported when the name is first used: definitions alone need no polars."""

__all__ = [
    "Contract",
    "Definitions",
    "Entity",
    "FeatureView",
    "Fitted",
    "OnlineFeatures",
    "Source",
    "fit",
    "materialize",
    "open_snapshot",
    "open_store",
    "training_table",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'features' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
