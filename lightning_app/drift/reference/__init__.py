"""Reference of a package and sketches of windows: bins, counts, dependence of rows."""

from lightning_app.drift.reference.bins import Bins
from lightning_app.drift.reference.build import build_reference, build_sample
from lightning_app.drift.reference.reference import REFERENCE_FILE, SAMPLE_FILE, ColumnReference, Reference
from lightning_app.drift.reference.sketch import ColumnSketch, NewColumn, Sketch

__all__ = [
    "REFERENCE_FILE", "SAMPLE_FILE", "Bins", "ColumnReference", "ColumnSketch", "NewColumn", "Reference", "Sketch",
    "build_reference", "build_sample",
]  # fmt: skip
