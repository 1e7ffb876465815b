"""Online stores: features of history by entity, written by `materialize`; SQLite, Redis, PostgreSQL."""

from features.store.defaults import DefaultStore, without_default
from features.store.errors import StoreError
from features.store.materialize import Materialized, materialize
from features.store.online_table import online_table
from features.store.open import open_store
from features.store.protocol import OnlineStore
from features.store.reader import StoredValues, ViewReader

__all__ = [
    "DefaultStore",
    "Materialized",
    "OnlineStore",
    "StoreError",
    "StoredValues",
    "ViewReader",
    "materialize",
    "online_table",
    "open_store",
    "without_default",
]
