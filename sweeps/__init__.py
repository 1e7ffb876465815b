"""Sweeps: hyper-parameter search over any config."""
