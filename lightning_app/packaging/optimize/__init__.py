"""Optimisation: from a package to a smaller or faster one, written only if it passes an accuracy and a latency gate."""
