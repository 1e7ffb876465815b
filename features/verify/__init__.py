"""Proof that the online form of features equals their batch form, and that no feature sees the future."""

from features.verify.report import Report
from features.verify.verify import verify

__all__ = ["Report", "verify"]
