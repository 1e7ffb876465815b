"""Tabular networks, their tasks, and the LightningModule that trains them."""

from models.tabular.classification import BinaryClassification, MulticlassClassification
from models.tabular.networks import MLP, LinearNetwork
from models.tabular.regression import Counts, Regression
from models.tabular.tabular_module import TabularModule
from models.tabular.task import TabularTask

__all__ = [
    "MLP",
    "BinaryClassification",
    "Counts",
    "LinearNetwork",
    "MulticlassClassification",
    "Regression",
    "TabularModule",
    "TabularTask",
]
