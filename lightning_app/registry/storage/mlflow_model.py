"""MLflow model around a package: loaded by `mlflow.pyfunc` through our own loader, without pickle."""

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
"""Path of the package within the MLflow model."""
_DISTRIBUTION = "lightning-r2p"
_NOTE = (
    f"# {_DISTRIBUTION} {__version__} answers; it was installed from a folder, not from an index: install it first, "
    "e.g. from its wheel.\n"
)
_REQUIREMENTS = ("onnxruntime", "numpy", "polars", "pandas")


def write_mlflow_model(package: Path, manifest: Manifest, folder: Path) -> None:
    """Writes an MLflow model that contains a package.

    Args:
        package: Folder of the package.
        manifest: Manifest of the package.
        folder: Folder to write; must not exist.
    """
    import mlflow.pyfunc

    own = [requirement] if (requirement := own_requirement()) is not None else []
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example")  # golden.json is one
        # MLflow names the data folder after its source, so the source is renamed first.
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
    """Pip requirement that installs the same distribution elsewhere; None if it was installed from a local folder.

    Args:
        name: Name of a distribution.
    """
    try:
        installed = distribution(name)
    except PackageNotFoundError:  # running from a source tree
        return None
    direct = json.loads(installed.read_text("direct_url.json") or "null")
    if direct is None:  # installed from a package index
        return f"{name}=={installed.version}"
    if "vcs_info" in direct:
        return f"{name} @ {direct['vcs_info']['vcs']}+{direct['url']}@{direct['vcs_info']['commit_id']}"
    return None if direct["url"].startswith("file:") else f"{name} @ {direct['url']}"


def signature(manifest: Manifest) -> "ModelSignature":
    """MLflow signature of a package.

    Written from the manifest, not inferred: without SciPy, MLflow's inference silently yields `Any`.

    Args:
        manifest: Manifest of the package.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    if manifest.tokenizer is not None:
        return ModelSignature(inputs=Schema([ColSpec(DataType.string, "text")]))
    if manifest.layout == "graphs":  # a table with one graph per row
        return ModelSignature(inputs=Schema([_column(spec) for spec in GraphLayout(manifest).inputs]))
    by_text = manifest.node_ids is not None and manifest.node_ids.dtype == "text"
    ragged = any(isinstance(size, str) for spec in manifest.inputs for size in spec.shape[1:])
    if by_text or ragged or manifest.raw_input is not None:
        # With an input schema MLflow accepts either arrays or tables; for texts, ragged and raw rows we accept both.
        return ModelSignature(outputs=_schema(manifest.outputs))
    outputs = None if manifest.all_decisions else _schema(manifest.outputs)
    return ModelSignature(inputs=_schema(manifest.inputs), outputs=outputs)


def _column(spec: TensorSpec) -> "ColSpec":
    """Table column of lists, nested as deeply as a row of the input."""
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    # The widest type of its kind: MLflow refuses list elements that it would have to round.
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
