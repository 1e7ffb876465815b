"""Monitored columns: what is watched of a table of requests, answers and outcomes."""

from lightning_app.drift.columns.plan import ColumnPlan, monitored_columns
from lightning_app.drift.columns.values import ColumnValues, column_values, read_column

__all__ = ["ColumnPlan", "ColumnValues", "column_values", "monitored_columns", "read_column"]
