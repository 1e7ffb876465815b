"""Monitoring: what was served is watched; reads the journal and the registry, and nothing of the serving path."""
