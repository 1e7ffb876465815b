"""Export of the journal: a training set with one row per answered row."""

from lightning_app.serving.journal.export.export import ExportReport, export

__all__ = ["ExportReport", "export"]
