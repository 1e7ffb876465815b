"""Tabular networks, their tasks, and the LightningModule that trains them."""

from models.tabular.ft_transformer import FTTransformer
from models.tabular.networks import MLP, LinearNetwork
from models.tabular.number_embeddings import (
    LinearEmbeddings,
    NumberEmbeddings,
    PeriodicEmbeddings,
    PiecewiseLinearEmbeddings,
)
from models.tabular.tabm import TabM
from models.tabular.tabular_module import TabularModule
from models.tasks import BinaryClassification, Counts, MulticlassClassification, Regression, TabularTask

__all__ = [
    "MLP",
    "BinaryClassification",
    "Counts",
    "FTTransformer",
    "LinearEmbeddings",
    "LinearNetwork",
    "MulticlassClassification",
    "NumberEmbeddings",
    "PeriodicEmbeddings",
    "PiecewiseLinearEmbeddings",
    "Regression",
    "TabM",
    "TabularModule",
    "TabularTask",
]
