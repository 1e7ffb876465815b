"""A package as a model that `mlflow.pyfunc` loads: no pickle, only this application's loader."""

import json
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.graphs import GraphLayout
from lightning_app.version import __version__

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

PACKAGE_FOLDER = "data/package"
"""Where the package lies within the model."""
_DISTRIBUTION = "lightning-r2p"
_NOTE = (
    f"# {_DISTRIBUTION} {__version__} answers; it was installed from a folder, not from an index: install it first, "
    "e.g. from its wheel.\n"
)
_REQUIREMENTS = ("onnxruntime", "numpy", "polars", "pandas")


def write_mlflow_model(package: Path, manifest: Manifest, folder: Path) -> None:
    """Writes what MLflow calls a model around a package.

    Args:
        package: Folder of the package.
        manifest: Of the package.
        folder: Where to; must not exist.
    """
    import mlflow.pyfunc

    own = [requirement] if (requirement := own_requirement()) is not None else []
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example")  # golden.json is one
        # MLflow names the folder of the data after where it came from.
        named = shutil.copytree(package, Path(scratch) / Path(PACKAGE_FOLDER).name)
        mlflow.pyfunc.save_model(
            folder,
            loader_module="lightning_app.registry.pyfunc",
            data_path=str(named),
            signature=signature(manifest),
            pip_requirements=[*own, *(f"{name}=={version(name)}" for name in _REQUIREMENTS)],
            metadata={
                "name": manifest.name,
                "family": manifest.family,
                "task": manifest.task,
                "answered_by": f"{_DISTRIBUTION} {__version__}",
            },
        )
    if not own:
        requirements = folder / "requirements.txt"
        requirements.write_text(_NOTE + requirements.read_text())


def own_requirement(name: str = _DISTRIBUTION) -> str | None:
    """Where what is installed under a name can be installed from elsewhere too; None where that is only here.

    Args:
        name: Of a distribution.
    """
    try:
        installed = distribution(name)
    except PackageNotFoundError:  # run from its source
        return None
    direct = json.loads(installed.read_text("direct_url.json") or "null")
    if direct is None:  # it came from an index
        return f"{name}=={installed.version}"
    if "vcs_info" in direct:
        return f"{name} @ {direct['vcs_info']['vcs']}+{direct['url']}@{direct['vcs_info']['commit_id']}"
    return None if direct["url"].startswith("file:") else f"{name} @ {direct['url']}"


def signature(manifest: Manifest) -> "ModelSignature":
    """What a model takes and answers, in MLflow's words.

    It is stated, never inferred: without SciPy, MLflow's inference gives `Any` and says nothing.

    Args:
        manifest: Of the package.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    if manifest.tokenizer is not None:
        return ModelSignature(inputs=Schema([ColSpec(DataType.string, "text")]))
    if manifest.layout == "graphs":  # as a table: a graph per row
        return ModelSignature(inputs=Schema([_column(spec) for spec in GraphLayout(manifest).inputs]))
    by_text = manifest.node_ids is not None and manifest.node_ids.dtype == "text"
    if by_text or any(isinstance(size, str) for spec in manifest.inputs for size in spec.shape[1:]):
        # Texts, and rows of any length: MLflow takes arrays or tables of them, as the schema says; without one both.
        return ModelSignature(outputs=_schema(manifest.outputs))
    outputs = None if manifest.labels is not None else _schema(manifest.outputs)
    return ModelSignature(inputs=_schema(manifest.inputs), outputs=outputs)


def _column(spec: TensorSpec) -> "ColSpec":
    """A column of lists as deep as a row of the input is."""
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    # The widest of its kind: MLflow takes no number of a list that it would have to round.
    kind: Any = DataType.double if spec.dtype.startswith("float") else DataType.long
    for _ in spec.shape[1:]:
        kind = Array(kind)
    return ColSpec(kind, spec.name)


def _schema(specs: tuple[TensorSpec, ...]) -> "Schema":
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as MlflowTensor

    return Schema(
        [
            MlflowTensor(
                np.dtype(spec.dtype), tuple(-1 if isinstance(size, str) else size for size in spec.shape), spec.name
            )
            for spec in specs
        ]
    )
