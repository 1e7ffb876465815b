"""Sinks: log, webhook and mail."""
