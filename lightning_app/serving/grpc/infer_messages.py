"""Inference messages: a ModelInferRequest as the body that HTTP would bring, and its answer as a ModelInferResponse.

Both protocols so share everything between: limits, checks, cache, journal, and the answer to a request that was sent
twice. A gRPC request is journalled as the HTTP request with binary data that says the same.
"""

from typing import Any

import msgspec

from lightning_app.serving.grpc.message_pool import Message
from lightning_app.serving.grpc.messages import ModelInferResponse
from lightning_app.serving.grpc.typed_contents import is_typed, read_contents, write_contents
from lightning_app.serving.v2.errors import ProtocolError

_BINARY_OUTPUT = "binary_data_output"
_TENSOR = "binary_data_size"


def read_request(message: Message) -> tuple[bytes, int]:
    """A request as a body of HTTP, JSON with binary data after it.

    Args:
        message: The ModelInferRequest.

    Returns:
        body: The body; it asks for binary outputs.
        header_length: Length of its JSON.

    Raises:
        ProtocolError: Contents or parameters are not as the protocol says.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise ProtocolError("raw_input_contents", f"{len(raw):,} given for {len(message.inputs):,} inputs")
    inputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for index, tensor in enumerate(message.inputs):
        if raw and tensor.HasField("contents"):
            raise ProtocolError(tensor.name, "contents given beside raw_input_contents; one of them needed")
        parts.append(raw[index] if raw else read_contents(tensor))
        parameters = _parameters(tensor.parameters, tensor.name, refused=(_TENSOR,))
        parameters[_TENSOR] = len(parts[-1])
        inputs.append(
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "datatype": tensor.datatype,
                "parameters": parameters,
            }
        )
    parameters = _parameters(message.parameters, "parameters")
    _is_raw(parameters, default=True)
    header: dict[str, Any] = {"id": message.id} if message.id else {}
    header["inputs"] = inputs
    header["parameters"] = {**parameters, _BINARY_OUTPUT: True}
    if message.outputs:
        header["outputs"] = [
            {"name": output.name, "parameters": _parameters(output.parameters, output.name, refused=("binary_data",))}
            for output in message.outputs
        ]
    content = msgspec.json.encode(header)
    return b"".join((content, *parts)), len(content)


def wants_raw(message: Message) -> bool:
    """Whether the answer to a request is raw: as its inputs are, unless it says so itself.

    Args:
        message: The ModelInferRequest, which `read_request` has taken.
    """
    return _is_raw(_parameters(message.parameters, "parameters"), default=bool(message.raw_input_contents))


class _Tensor(msgspec.Struct, frozen=True, gc=False):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int]


class _Header(msgspec.Struct, frozen=True, gc=False):
    model_name: str
    id: str
    outputs: list[_Tensor]
    model_version: str = ""
    parameters: dict[str, bool | int | float | str] = {}


_DECODER = msgspec.json.Decoder(_Header)


def write_response(body: bytes, header_length: int, *, is_raw: bool) -> Message:
    """The answer as a message.

    Args:
        body: Answer of HTTP with binary data.
        header_length: Length of its JSON.
        is_raw: Whether its contents are raw, which those of FP16 always are.

    Returns:
        The ModelInferResponse.
    """
    content = memoryview(body)
    header = _DECODER.decode(content[:header_length])
    message = ModelInferResponse(model_name=header.model_name, model_version=header.model_version, id=header.id)
    for name, value in header.parameters.items():
        set_parameter(message, name, value)
    start = header_length
    is_raw = is_raw or not all(is_typed(output.datatype) for output in header.outputs)
    for output in header.outputs:
        tensor = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        end = start + output.parameters[_TENSOR]
        if is_raw:
            message.raw_output_contents.append(bytes(content[start:end]))
        else:
            write_contents(tensor, content[start:end])
        start = end
    return message


def set_parameter(message: Message, name: str, value: bool | int | float | str) -> None:
    """Sets a parameter of an answer.

    Args:
        message: The ModelInferResponse.
        name: Name of the parameter.
        value: Its value.
    """
    field = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}[type(value)]
    setattr(message.parameters[name], field, value)


def _parameters(given: Message, field: str, *, refused: tuple[str, ...] = ()) -> dict[str, Any]:
    """Parameters by name; sorted, as their order on the wire says nothing."""
    parameters: dict[str, Any] = {}
    for name in sorted(given):
        choice = given[name].WhichOneof("parameter_choice")
        if choice is None:
            raise ProtocolError(field, f"parameter {name[:100]}: no value given")
        if name in refused:
            raise ProtocolError(field, f"parameter {name}: given, but messages say this themselves; leave it out")
        parameters[name] = getattr(given[name], choice)
    return parameters


def _is_raw(parameters: dict[str, Any], *, default: bool) -> bool:
    value = parameters.get(_BINARY_OUTPUT, default)
    if not isinstance(value, bool):
        raise ProtocolError("parameters", f"parameter {_BINARY_OUTPUT}: {value!r} given, true or false needed")
    return value
