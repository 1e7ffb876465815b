"""Graphs: sources, splits, samplers and data modules (needs the `graph` extra)."""
