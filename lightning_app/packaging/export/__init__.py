"""Export: from a checkpoint to a package. The one part of packaging that needs torch."""

from lightning_app.packaging.export.batches import Evaluation, Sample, TestBatch
from lightning_app.packaging.export.exporter import Exporter

__all__ = ["Evaluation", "Exporter", "Sample", "TestBatch"]
