"""Proof that the online form of features equals their batch form, and that no feature sees the future."""

from features.verification.report import Report
from features.verification.verify import verify

__all__ = ["Report", "verify"]
