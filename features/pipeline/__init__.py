"""Pipeline: from raw tables to the arrays of a network, the same in training and in packages."""

from features.pipeline.asked_rows import AskedRows
from features.pipeline.layout import CategoryColumn, Layout, VectorColumn
from features.pipeline.pipeline import FeaturePipeline
from features.pipeline.row_plan import PlainRows, RowPlan

__all__ = ["AskedRows", "CategoryColumn", "FeaturePipeline", "Layout", "PlainRows", "RowPlan", "VectorColumn"]
