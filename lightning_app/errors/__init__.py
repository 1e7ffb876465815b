"""Errors: how exceptions become the one-line messages and exit codes that a user sees."""

from lightning_app.errors.messages import OF_THE_MODEL, UsageError, describe, exit_code, nearest, simplify

__all__ = ["OF_THE_MODEL", "UsageError", "describe", "exit_code", "nearest", "simplify"]
