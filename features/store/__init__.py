"""Online stores: features of history by entity, written by `materialize`; SQLite, Redis, PostgreSQL."""

from features.store.errors import StoreError
from features.store.open import open_store
from features.store.protocol import OnlineStore

__all__ = ["OnlineStore", "StoreError", "open_store"]
