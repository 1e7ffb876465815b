"""Causes: what moved, how much the model depends on it, and what happened at that time."""
