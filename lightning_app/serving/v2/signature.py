"""Signature of a served model in the protocol: checks tensors of requests, and splits off the state of streams."""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.values import Array, Values
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.v2.datatypes import BYTES, datatype_of, texts
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.metadata import model_metadata, output_names


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
        inputs = model_metadata("", None, predictor)["inputs"]
        self._inputs: dict[str, tuple[str, list[int]]] = {
            tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in inputs
        }
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
        for name, array in inputs.items():
            if name == entity and name not in self._inputs:
                _check_keys(name, array)
            else:
                self._check(name, array)
            if num_rows is None:
                num_rows = len(array)
            elif len(array) != num_rows:
                raise ProtocolError(name, f"{len(array):,} rows given, the tensor before it has {num_rows:,}")
            if name in self._state:
                state[name] = array
            else:
                request[name] = texts(name, array) if array.dtype.kind == "O" else array
        for name in self._inputs:
            if name not in inputs and (name not in self._state or state):
                raise ProtocolError(name, f"not given, the request has {', '.join(inputs)}")
        assert num_rows is not None
        return request, state or None, num_rows

    def answered(self, predictions: Mapping[str, Values], state: StreamState) -> dict[str, Values]:
        """Outputs of an answer, with the state after it.

        Args:
            predictions: Predictions by name.
            state: State by the name of its input.
        """
        return {**predictions, **{self._state[name]: array for name, array in state.items()}}

    def _check(self, name: str, array: Array) -> None:
        if name not in self._inputs:
            raise ProtocolError(name, f"no such input, the model takes {', '.join(self._inputs)}")
        datatype, shape = self._inputs[name]
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
