"""Feast bridge: the registry of a Feast repository read as definitions (extra `feast`)."""

from features.feast.registry import read_registry
from features.feast.translate import Translation, translate

__all__ = ["Translation", "read_registry", "translate"]
