"""Packages: a trained model as a folder that makes predictions without torch."""

from lightning_app.packaging.format.errors import BadRowsError, PackageError, RequestError
from lightning_app.packaging.format.manifest import FileEntry, Manifest
from lightning_app.packaging.format.signature import StateSpec, TensorSpec
from lightning_app.packaging.format.writer import write_package
from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.text.tokenizer import Tokenizer

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
    "StreamState",
    "TensorSpec",
    "Tokenizer",
    "write_package",
]

State = StreamState
"""Former name of `StreamState`."""
