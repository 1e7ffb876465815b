"""Experiments: who answers which request, what that taught, and what is decided from it."""
