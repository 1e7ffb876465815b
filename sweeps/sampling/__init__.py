"""Sampling in sweeps: which parameters a trial tries, and when a search stops."""
