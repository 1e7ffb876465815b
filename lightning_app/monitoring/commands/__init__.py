"""Verb `monitor`."""
