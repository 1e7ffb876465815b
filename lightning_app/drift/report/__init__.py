"""Report of drift: a window beside the reference of a package."""

from lightning_app.drift.report.drift_report import drift_report, rows_needed

__all__ = ["drift_report", "rows_needed"]
