"""Header of a request: its JSON part, with the data of tensors left as text until their shape is known."""

import json
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from lightning_app.packaging.format.signature import MAX_RANK, MAX_VALUES
from lightning_app.serving.v2.errors import ProtocolError

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Size: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_VALUES)]
Parameters: TypeAlias = dict[str, str | int | float | bool | None]


class InputHeader(Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor of the request.

    Attributes:
        name: Input of the model.
        shape: Its sizes.
        datatype: Datatype of the protocol.
        parameters: `binary_data_size` if its data follow the header.
        data: Its data as JSON, flat or nested; empty if they follow the header.
    """

    name: Name
    shape: Annotated[list[Size], Meta(max_length=MAX_RANK)]
    datatype: Annotated[str, Meta(max_length=20)]
    parameters: Parameters | UnsetType = UNSET
    data: Raw = Raw()


class OutputHeader(Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that is asked for.

    Attributes:
        name: Output of the model.
        parameters: `binary_data`, `classification`.
    """

    name: Name
    parameters: Parameters | UnsetType = UNSET


class RequestHeader(Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON part of a request.

    Attributes:
        inputs: Tensors of the request.
        id: Id of the request, chosen by the client.
        parameters: `binary_data_output`, `timeout`, `sequence_id`, `sequence_start`, `sequence_end`.
        outputs: Tensors that are asked for; all if there is none.
    """

    inputs: Annotated[list[InputHeader], Meta(min_length=1, max_length=256)]
    id: str | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET
    outputs: Annotated[list[OutputHeader], Meta(max_length=256)] | UnsetType = UNSET


_DECODER = Decoder(RequestHeader)


def read_header(content: bytes | memoryview) -> RequestHeader:
    """Parses the JSON part of a request.

    Args:
        content: UTF-8 JSON.

    Raises:
        ProtocolError: It is no JSON, is nested too deep, has an unknown or a duplicate key, or a value of another type.
    """
    try:
        header = _DECODER.decode(content)
    except RecursionError as error:
        raise ProtocolError("body", "nested too deep") from error
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("body", json_problem(error)) from error
    _check_keys(bytes(content), header)
    return header


def json_problem(error: Exception) -> str:
    """A message of the JSON decoder, without its markers for the root."""
    text = str(error).replace("`$.", "`").replace("`$[", "`[")
    return "no UTF-8 text" if isinstance(error, UnicodeDecodeError) else text[:1].lower() + text[1:]


def _check_keys(content: bytes, header: RequestHeader) -> None:
    """Raises if a key occurs twice, of which the decoder would take the last in silence."""
    outputs = header.outputs or []
    optional = [header.id, header.parameters, header.outputs, *(output.parameters for output in outputs)]
    keys = 1 + sum(value is not UNSET for value in optional) + len(outputs)
    parameters: list[Parameters | UnsetType] = [header.parameters, *(output.parameters for output in outputs)]
    colons = content.count(b":")
    for tensor in header.inputs:
        data = bytes(tensor.data)
        colons -= data.count(b":")
        keys += 3 + (tensor.parameters is not UNSET) + bool(data)
        parameters.append(tensor.parameters)
    keys += sum(len(given) for given in parameters if not isinstance(given, UnsetType))
    if keys == colons:
        return
    # More colons than keys: texts that hold colons, or keys that occur twice.
    try:
        json.loads(content, object_pairs_hook=_without_duplicates, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("body", str(error)) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in names if names.count(key) > 1)[:100]!r} occurs twice")
    return content
