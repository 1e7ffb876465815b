"""Drift of several columns together, and of columns that hold texts, vectors, sequences or graphs."""

from lightning_app.drift.multivariate.multivariate_drift import multivariate_drift

__all__ = ["multivariate_drift"]
