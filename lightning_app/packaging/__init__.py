"""Packages: a trained model as a folder that answers by itself, without torch."""

from lightning_app.packaging.errors import BadRowsError, PackageError, RequestError
from lightning_app.packaging.manifest import FileEntry, Manifest
from lightning_app.packaging.package import Package
from lightning_app.packaging.predictor import Predictor
from lightning_app.packaging.rows import State
from lightning_app.packaging.signature import StateSpec, TensorSpec
from lightning_app.packaging.tokenizer import Tokenizer
from lightning_app.packaging.writer import write_package

__all__ = [
    "BadRowsError",
    "FileEntry",
    "Manifest",
    "Package",
    "PackageError",
    "Predictor",
    "RequestError",
    "State",
    "StateSpec",
    "TensorSpec",
    "Tokenizer",
    "write_package",
]
