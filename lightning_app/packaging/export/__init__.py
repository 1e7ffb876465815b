"""Export: from a checkpoint to a package. The one part of packaging that needs torch."""

from lightning_app.packaging.export.exporter import Evaluation, Exporter, Sample, TestBatch

__all__ = ["Evaluation", "Exporter", "Sample", "TestBatch"]
