"""Kinds of raw rows that a package answers, one module each."""
