"""Errors: what a user sees when something fails, and what it is made from."""

from lightning_app.errors.messages import OF_THE_MODEL, UsageError, describe, exit_code, nearest, simplify

__all__ = ["OF_THE_MODEL", "UsageError", "describe", "exit_code", "nearest", "simplify"]
