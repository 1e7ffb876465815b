"""Inference request: id, input tensors and requested outputs of a body."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from lightning_app.packaging.runtime.values import Array
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.header import InputHeader, OutputHeader, Parameters, read_header
from lightning_app.serving.v2.tensors import read_binary, read_data

HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header with the length of the JSON part, where binary data follow it."""


@dataclass(frozen=True, kw_only=True)
class RequestedOutput:
    """A tensor that is asked for.

    Attributes:
        name: Name of the output.
        is_binary: Whether its data follow the header of the answer.
        num_classes: Number of largest values to be named with their index and label instead of all values; 0 for all.
    """

    name: str
    is_binary: bool
    num_classes: int = 0


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A request of the protocol.

    Attributes:
        id: Id that the client chose.
        inputs: Arrays by name; elements of BYTES tensors are bytes or str.
        outputs: Tensors that are asked for; None for all.
        is_binary: Whether the data of outputs that are not listed follow the header of the answer.
        timeout_us: How long the answer may take, in microseconds.
        sequence: Sequence that the request belongs to.
        sequence_start: Whether it is the first of the sequence.
        sequence_end: Whether it is the last of the sequence.
    """

    id: str | None
    inputs: dict[str, Array]
    outputs: tuple[RequestedOutput, ...] | None
    is_binary: bool
    timeout_us: int | None
    sequence: str | None
    sequence_start: bool
    sequence_end: bool


def read_infer_request(body: bytes, header_length: str | None) -> InferRequest:
    """Parses a body.

    Args:
        body: The whole body, decompressed.
        header_length: Value of the HTTP header `HEADER_LENGTH`; None if all of the body is JSON.

    Raises:
        ProtocolError: The body is no request of the protocol; names the tensor, parameter or field.
    """
    content = memoryview(body)
    length = len(body) if header_length is None else _header_length(header_length, len(body))
    header = read_header(content[:length])
    rest = content[length:]
    inputs: dict[str, Array] = {}
    for tensor in header.inputs:
        if tensor.name in inputs:
            raise ProtocolError(tensor.name, "given twice")
        size = _binary_size(tensor)
        if size is None:
            inputs[tensor.name] = read_data(tensor)
            continue
        if header_length is None:
            raise ProtocolError(tensor.name, f"binary_data_size given, but the header {HEADER_LENGTH} is missing")
        if size > len(rest):
            raise ProtocolError(
                tensor.name, f"binary_data_size {size:,} given, {len(rest):,} bytes are left of the body"
            )
        inputs[tensor.name] = read_binary(tensor, rest[:size])
        rest = rest[size:]
    if len(rest):
        raise ProtocolError("body", f"{len(rest):,} bytes are left after the data of all inputs")
    parameters = _Parameters(header.parameters, "parameters")
    is_binary = parameters.flag("binary_data_output", default=False)
    request = InferRequest(
        id=None if isinstance(header.id, UnsetType) else header.id,
        inputs=inputs,
        outputs=_outputs(header.outputs or [], is_binary=is_binary),
        is_binary=is_binary,
        timeout_us=parameters.count("timeout", least=1),
        sequence=parameters.sequence("sequence_id"),
        sequence_start=parameters.flag("sequence_start", default=False),
        sequence_end=parameters.flag("sequence_end", default=False),
    )
    parameters.finish(_REQUEST_PARAMETERS)
    if request.sequence is None and (request.sequence_start or request.sequence_end):
        raise ProtocolError("parameters", "sequence_start or sequence_end given without sequence_id")
    return request


_REQUEST_PARAMETERS = ("binary_data_output", "timeout", "sequence_id", "sequence_start", "sequence_end")


def _header_length(text: str, size: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > size:
        raise ProtocolError(
            HEADER_LENGTH, f"{text[:50]!r} given, a number of bytes up to that of the body, {size:,}, needed"
        )
    return int(text)


def _binary_size(tensor: InputHeader) -> int | None:
    parameters = _Parameters(tensor.parameters, tensor.name)
    size = parameters.count("binary_data_size", least=0)
    parameters.finish(("binary_data_size",))
    if (size is None) == (not bytes(tensor.data)):
        given = "neither data nor the parameter" if size is None else "both data and the parameter"
        raise ProtocolError(tensor.name, f"{given} binary_data_size given, one of them needed")
    return size


def _outputs(headers: list[OutputHeader], *, is_binary: bool) -> tuple[RequestedOutput, ...] | None:
    outputs: dict[str, RequestedOutput] = {}
    for header in headers:
        if header.name in outputs:
            raise ProtocolError(header.name, "asked for twice")
        parameters = _Parameters(header.parameters, header.name)
        outputs[header.name] = RequestedOutput(
            name=header.name,
            is_binary=parameters.flag("binary_data", default=is_binary),
            num_classes=parameters.count("classification", least=1) or 0,
        )
        parameters.finish(("binary_data", "classification"))
    return tuple(outputs.values()) or None


class _Parameters:
    """Parameters of a request or a tensor, each of which is read or refused."""

    def __init__(self, given: Parameters | UnsetType, field: str) -> None:
        self._given: Mapping[str, object] = {} if isinstance(given, UnsetType) else given
        self._field = field

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._given.get(name, default)
        if not isinstance(value, bool):
            raise ProtocolError(self._field, f"parameter {name}: {value!r} given, true or false needed")
        return value

    def count(self, name: str, *, least: int) -> int | None:
        value = self._given.get(name, UNSET)
        if value is UNSET:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ProtocolError(self._field, f"parameter {name}: {value!r} given, a whole number from {least} needed")
        return value

    def sequence(self, name: str) -> str | None:
        value = self._given.get(name, UNSET)
        if value is UNSET:
            return None
        if isinstance(value, bool) or not isinstance(value, int | str) or value in (0, ""):
            raise ProtocolError(self._field, f"parameter {name}: {value!r} given, a number or a text needed")
        return str(value)

    def finish(self, allowed: Collection[str]) -> None:
        unknown = next((name for name in self._given if name not in allowed), None)
        if unknown is not None:
            raise ProtocolError(self._field, f"parameter {unknown[:100]!r} given, allowed: {', '.join(allowed)}")
