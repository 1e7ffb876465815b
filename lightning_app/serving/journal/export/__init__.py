"""Export of the journal: a training set with one row per answered row."""

from lightning_app.serving.journal.export.export import export
from lightning_app.serving.journal.export.row_parts import ExportReport

__all__ = ["ExportReport", "export"]
