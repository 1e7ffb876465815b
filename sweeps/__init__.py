"""Hyper-parameter search over any config."""
