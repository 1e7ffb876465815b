"""Stores of the journal: SQLite and PostgreSQL."""

from lightning_app.serving.journal.stores.open_store import open_database, open_reader, open_store

__all__ = ["open_database", "open_reader", "open_store"]
