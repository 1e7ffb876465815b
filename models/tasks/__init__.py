"""Tasks: the meaning of a network's outputs, shared by tables, texts, trees and fusion."""

from models.tasks.classification import BinaryClassification, MulticlassClassification
from models.tasks.multi_label import MultiLabel
from models.tasks.multi_task import MultiTask
from models.tasks.regression import Counts, Regression
from models.tasks.task import TabularTask
from models.tasks.task_module import TaskModule
from models.tasks.threshold_rules import (
    GivenThreshold,
    MaxBalancedAccuracy,
    MaxF1,
    PrecisionAtLeast,
    RecallAtLeast,
    ThresholdRule,
)

__all__ = [
    "BinaryClassification",
    "Counts",
    "GivenThreshold",
    "MaxBalancedAccuracy",
    "MaxF1",
    "MultiLabel",
    "MultiTask",
    "MulticlassClassification",
    "PrecisionAtLeast",
    "RecallAtLeast",
    "Regression",
    "TabularTask",
    "TaskModule",
    "ThresholdRule",
]
