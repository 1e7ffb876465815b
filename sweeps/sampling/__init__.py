"""Sampling in sweeps: the values that a trial tries, and when a search stops."""
