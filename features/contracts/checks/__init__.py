"""Compilation of rules into polars expressions for the columns of a table."""
