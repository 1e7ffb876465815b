"""Feature tables for tabular models: rows from definitions of features, and how they are split."""

from datamodules.tabular.data_module import FeatureTableDataModule
from datamodules.tabular.folds import KFoldSplit, TimeFolds
from datamodules.tabular.splits import GroupSplit, ListedSplit, RandomSplit, RangeSplit, TableSplit, TimeSplit

__all__ = [
    "FeatureTableDataModule",
    "GroupSplit",
    "KFoldSplit",
    "ListedSplit",
    "RandomSplit",
    "RangeSplit",
    "TableSplit",
    "TimeFolds",
    "TimeSplit",
]
