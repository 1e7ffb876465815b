"""Metadata of the protocol: the server and its extensions, a model and its tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.graphs import GRAPH_AXES
from lightning_app.packaging.runtime.labels import names_of
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.row_ids import node_inputs
from lightning_app.packaging.runtime.text.tokenizer import TEXT, TOKENS
from lightning_app.serving.v2.datatypes import BYTES, datatype_of
from lightning_app.version import __version__

EXTENSIONS = ("binary_tensor_data", "classification", "sequence")
PLATFORM = "onnxruntime_onnx"
_RAW = {"number": "FP64", "whole number": "INT64", "boolean": "BOOL", "text": BYTES, "timestamp": BYTES}
"""Type of a raw column to its datatype."""


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions of the server."""
    return {"name": "lightning-app", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(name: str, version: int | None, predictor: Predictor) -> dict[str, Any]:
    """Tensors that a model takes and answers.

    Args:
        name: Name of the model in addresses.
        version: Version of the model; None if it has none.
        predictor: Predictor of the package.

    Returns:
        Names, datatypes and shapes, with -1 for an axis of any size; the state of a stream is an input and an output.
        `parameters` say what else there is to know.
    """
    manifest = predictor.manifest
    state = [(spec.input, spec.output, datatype_of(spec.dtype), _shape(spec.shape)) for spec in manifest.state]
    return {
        "name": name,
        "versions": [] if version is None else [str(version)],
        "platform": PLATFORM,
        "inputs": (raw_tensors(predictor) or graph_tensors(predictor))
        + [_tensor(input_name, datatype, shape) for input_name, _, datatype, shape in state],
        "outputs": [_tensor(output, *of) for output, of in _outputs(manifest).items()]
        + [_tensor(output, datatype, shape) for _, output, datatype, shape in state],
        "parameters": _parameters(predictor),
    }


def graph_tensors(predictor: Predictor) -> list[dict[str, Any]]:
    """Tensors that the graph of a model takes, without state.

    Args:
        predictor: Predictor of the package.
    """
    return [_input(spec, predictor.manifest) for spec in predictor.inputs]


def raw_tensors(predictor: Predictor) -> list[dict[str, Any]]:
    """A tensor for each raw column of a model that reads texts: clients have no tokens. None of other models.

    Args:
        predictor: Predictor of the package.
    """
    raw_input, spec = predictor.raw_input, predictor.manifest.raw_input
    if spec is None or raw_input is None or not (raw_input.reads_texts and raw_input.batches):
        return []
    return [_tensor(column.name, _RAW[column.type], [-1]) for column in spec.columns if column.required]


def output_names(manifest: Manifest) -> list[str]:
    """Outputs of a model, state included.

    Args:
        manifest: Manifest of the package.
    """
    return [*_outputs(manifest), *(spec.output for spec in manifest.state)]


def _outputs(manifest: Manifest) -> dict[str, tuple[str, list[int]]]:
    """Datatype and shape of every output but the state, in the order of the answer."""
    given = {spec.name: spec for spec in manifest.inputs}
    outputs = {name: (_id_datatype(given[name], manifest), [-1]) for name in node_inputs(manifest)}
    for decision in manifest.all_decisions:
        if decision.several:  # lists of any length are no tensor
            continue
        scores = next(spec for spec in manifest.outputs if spec.name == decision.output)
        label, probability = names_of(decision)
        outputs[label] = (BYTES, _answered(scores, manifest)[:-1])
        outputs[probability] = (datatype_of(scores.dtype), _answered(scores, manifest)[:-1])
    return outputs | {spec.name: (datatype_of(spec.dtype), _answered(spec, manifest)) for spec in manifest.outputs}


def _answered(spec: TensorSpec, manifest: Manifest) -> list[int]:
    """Shape of an output in answers: one row per graph, where the ONNX graph joins the nodes of all graphs."""
    shape = _shape(spec.shape)
    return [-1, *shape] if manifest.layout == "graphs" and spec.shape[0] not in GRAPH_AXES else shape


def _input(spec: TensorSpec, manifest: Manifest) -> dict[str, Any]:
    if manifest.tokenizer is not None and spec.name == TOKENS:
        return _tensor(TEXT, BYTES, [-1])
    if manifest.node_ids is not None and spec.name in manifest.node_ids.inputs:
        return _tensor(spec.name, _id_datatype(spec, manifest), [-1])
    return _tensor(spec.name, datatype_of(spec.dtype), _shape(spec.shape))


def _id_datatype(spec: TensorSpec, manifest: Manifest) -> str:
    if manifest.node_ids is None:
        return datatype_of(spec.dtype)
    return BYTES if manifest.node_ids.dtype == "text" else datatype_of(manifest.node_ids.dtype)


def _shape(shape: Sequence[int | str]) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in shape]


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _parameters(predictor: Predictor) -> Mapping[str, Any]:
    """What the protocol has no field for."""
    manifest = predictor.manifest
    parameters: dict[str, Any] = {"task": manifest.task, "layout": manifest.layout}
    if manifest.labels is not None:
        parameters["labels"] = list(manifest.labels)
    if manifest.decisions:
        parameters["decisions"] = [asdict(decision) for decision in manifest.decisions]
    if raw_tensors(predictor):
        names = ", ".join(spec.name for spec in predictor.inputs)
        parameters["raw_rows"] = f"the inputs are columns of raw rows; {names} are taken instead of them"
    elif manifest.raw_input is not None:
        parameters["raw_rows"] = "this protocol takes tensors; raw rows go to the predict route"
    if manifest.state:
        parameters["state"] = "optional: what the answer before returned; without it, a stream starts anew"
    columns = {spec.name: list(spec.columns) for spec in (*manifest.inputs, *manifest.outputs) if spec.columns}
    if columns:
        parameters["columns"] = columns
    return parameters
