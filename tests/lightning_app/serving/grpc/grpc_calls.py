"""Calls of the protocol over plain channels of grpcio."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from lightning_app.serving.grpc import messages
from tests.lightning_app.serving.server import RunningWorker
from tests.lightning_app.serving.v2.infer_bodies import binary, datatype

SERVICE = "/inference.GRPCInferenceService/"


class Calls:
    """A client of one worker.

    Attributes:
        channel: Its connection.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def unary(self, method: str, message: Any = b"", answer: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Answer and trailing metadata of a method of the inference service, or of an address."""
        content = message if isinstance(message, bytes) else message.SerializeToString()
        address = method if method.startswith("/") else SERVICE + method
        reply, call = self.channel.unary_unary(address).with_call(content, timeout=30, **options)
        parsed = reply if answer is None else answer.FromString(reply)
        return parsed, dict(call.trailing_metadata())

    def infer(self, message: Any, **options: Any) -> tuple[Any, dict[str, Any]]:
        """ModelInfer."""
        return self.unary("ModelInfer", message, messages.ModelInferResponse, **options)

    def stream(self, requests: Any, **options: Any) -> Iterator[Any]:
        """ModelStreamInfer."""
        call = self.channel.stream_stream(f"{SERVICE}ModelStreamInfer")
        contents = (each if isinstance(each, bytes) else each.SerializeToString() for each in requests)
        for reply in call(contents, timeout=30, **options):
            yield messages.ModelStreamInferResponse.FromString(reply)


@contextmanager
def calls_of(worker: RunningWorker, **options: Any) -> Iterator[Calls]:
    """A connection to a worker."""
    assert worker.grpc_address is not None
    with grpc.insecure_channel(worker.grpc_address, **options) as channel:
        yield Calls(channel)


def infer_request(model: str, inputs: Mapping[str, np.ndarray], *, is_raw: bool = True, **fields: Any) -> Any:
    """A ModelInferRequest.

    Args:
        model: Name of the model.
        inputs: Tensors by name; elements of BYTES are bytes.
        is_raw: Whether contents are raw or typed.
        fields: `id`, `model_version`, `parameters`, `outputs` as name to parameters.
    """
    parameters, outputs = fields.pop("parameters", {}), fields.pop("outputs", {})
    message = messages.ModelInferRequest(model_name=model, **fields)
    for name, value in parameters.items():
        set_value(message.parameters[name], value)
    for name, of in outputs.items():
        output = message.outputs.add(name=name)
        for key, value in of.items():
            set_value(output.parameters[key], value)
    for name, array in inputs.items():
        tensor = message.inputs.add(name=name, datatype=datatype(array), shape=array.shape)
        if is_raw:
            message.raw_input_contents.append(binary(array))
        else:
            field = "bytes_contents" if array.dtype.kind == "O" else field_of(array.dtype)
            getattr(tensor.contents, field).extend(array.ravel().tolist())
    return message


def field_of(dtype: Any) -> str:
    if dtype.kind in "iu" and dtype.itemsize < 8:
        return "int_contents" if dtype.kind == "i" else "uint_contents"
    return {"b": "bool", "i": "int64", "u": "uint64", "f": f"fp{8 * dtype.itemsize}"}[dtype.kind] + "_contents"


def set_value(parameter: Any, value: Any) -> None:
    names = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    setattr(parameter, names[type(value)], value)


def raw_outputs(response: Any) -> dict[str, tuple[str, list[int], bytes]]:
    """Datatype, shape and raw content by name."""
    return {
        tensor.name: (tensor.datatype, list(tensor.shape), content)
        for tensor, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def refused(call: Any) -> tuple[str, str, dict[str, Any]]:
    """Status, message and trailing metadata of a call that has to fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details(), dict(error.trailing_metadata() or ())
    raise AssertionError("the call was answered")
