"""Regularisation; moved to `features.series.regularize`, kept while an import contract names this module."""

from features.series.regularize import MissingPolicy, check_frequency, regularize, time_zone, timestamps

__all__ = ["MissingPolicy", "check_frequency", "regularize", "time_zone", "timestamps"]
