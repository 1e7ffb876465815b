"""Signature of a served model in the protocol: checks tensors of requests, and splits off the state of streams."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.values import Array, Values
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.v2.datatypes import BYTES, datatype_of, texts
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.metadata import graph_tensors, model_metadata, output_names, raw_tensors

if TYPE_CHECKING:
    import polars as pl


class Signature:
    """Tensors that a model takes and answers.

    Args:
        predictor: Predictor of the package.

    Attributes:
        outputs: Names of the outputs, in the order of the answer.
    """

    def __init__(self, predictor: Predictor) -> None:
        manifest = predictor.manifest
        self.outputs = output_names(manifest)
        self._inputs = _by_name(model_metadata("", None, predictor)["inputs"])
        self._graph = _by_name(graph_tensors(predictor)) if raw_tensors(predictor) else {}
        self._state = {spec.input: spec.output for spec in manifest.state}

    def split(self, inputs: Mapping[str, Array], entity: str | None) -> tuple[dict[str, Any], StreamState | None, int]:
        """Checks tensors, and splits them into a request and a state.

        Args:
            inputs: Tensors by name.
            entity: Tensor with the key of the entity, which is journalled and need not be an input; None without one.

        Returns:
            request: Arrays by name, lists of texts where the model takes text.
            state: State of the streams; None starts them anew.
            num_rows: Number of rows.

        Raises:
            ProtocolError: A tensor is unknown or missing, or has another datatype or shape than the model takes.
        """
        request: dict[str, Any] = {}
        state: StreamState = {}
        num_rows: int | None = None
        of_graph = bool(self._graph) and not self._graph.keys().isdisjoint(inputs)
        taken = self._graph if of_graph else self._inputs
        for name, array in inputs.items():
            if name == entity and name not in taken:
                _check_keys(name, array)
            else:
                _check(name, array, taken)
            if num_rows is None:
                num_rows = len(array)
            elif len(array) != num_rows:
                raise ProtocolError(name, f"{len(array):,} rows given, the tensor before it has {num_rows:,}")
            if name in self._state:
                state[name] = array
            else:
                request[name] = texts(name, array) if array.dtype.kind == "O" else array
                if self._graph and not of_graph:
                    request[name] = _cells(request[name])
        for name in taken:
            if name not in inputs and (name not in self._state or state):
                raise ProtocolError(name, f"not given, the request has {', '.join(inputs)}")
        assert num_rows is not None
        return request, state or None, num_rows

    def answered(self, predictions: "Mapping[str, Values] | pl.DataFrame", state: StreamState) -> dict[str, Values]:
        """Outputs of an answer, with the state after it.

        Args:
            predictions: Predictions by name, or a table of them.
            state: State by the name of its input.
        """
        if not isinstance(predictions, Mapping):
            predictions = {name: predictions[name].to_numpy() for name in self.outputs}
        elif self._graph:  # answers of few raw rows have texts as lists
            predictions = {name: np.asarray(values) for name, values in predictions.items()}
        return {**predictions, **{self._state[name]: array for name, array in state.items()}}


def _by_name(tensors: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, list[int]]]:
    return {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in tensors}


def _cells(values: Sequence[str] | Array) -> list[Any]:
    """Cells of a raw column; NaN is a missing number."""
    if not isinstance(values, np.ndarray):
        return list(values)
    cells: list[Any] = values.tolist()
    return [None if cell != cell else cell for cell in cells]


def _check(name: str, array: Array, taken: Mapping[str, tuple[str, list[int]]]) -> None:
    if name not in taken:
        raise ProtocolError(name, f"no such input, the model takes {', '.join(taken)}")
    datatype, shape = taken[name]
    given = BYTES if array.dtype.kind == "O" else datatype_of(array.dtype)
    if given != datatype:
        raise ProtocolError(name, f"datatype {given} given, {datatype} needed")
    if not _fits(array.shape, shape):
        raise ProtocolError(name, f"shape {list(array.shape)} given, {shape} needed, -1 is any size")
    if not len(array):
        raise ProtocolError(name, "no rows given, one or more needed")


def _check_keys(name: str, array: Array) -> None:
    if array.ndim != 1 or array.dtype.kind not in "Oiu" or not len(array):
        raise ProtocolError(name, f"one key per row needed, {BYTES} or whole numbers of shape [-1]")


_SIGNATURES: WeakKeyDictionary[LoadedModel, Signature] = WeakKeyDictionary()


def signature_of(model: LoadedModel) -> Signature:
    """Signature of a version, made once and kept as long as the version is.

    Args:
        model: The version.
    """
    signature = _SIGNATURES.get(model)
    if signature is None:
        signature = _SIGNATURES[model] = Signature(model.package.predictor)
    return signature


def _fits(given: Sequence[int], needed: Sequence[int]) -> bool:
    return len(given) == len(needed) and all(
        size == other or other == -1 for size, other in zip(given, needed, strict=True)
    )
