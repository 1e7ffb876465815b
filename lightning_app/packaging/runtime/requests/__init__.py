"""Requests of a package: dicts of arrays, several tables, and the rows of them that fail."""
