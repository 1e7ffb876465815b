"""Drift: statistics of a table beside a reference; knows tables, no journal and no package."""
