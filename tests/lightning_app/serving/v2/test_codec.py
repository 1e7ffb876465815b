import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lightning_app.serving.v2.datatypes import DTYPES
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.infer_request import InferRequest, read_infer_request
from lightning_app.serving.v2.infer_response import write_infer_response
from tests.lightning_app.serving.v2.infer_bodies import infer_body

NAMES = st.text(min_size=1, max_size=10).filter(lambda text: text.isprintable())
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMBERS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: npst.arrays(DTYPES[name], SHAPES, elements=_finite(DTYPES[name]))
)
TEXTS = npst.arrays(np.dtype(object), SHAPES, elements=st.text(max_size=8).map(str.encode))
TENSORS = st.dictionaries(NAMES, NUMBERS | TEXTS, min_size=1, max_size=4)


def _finite(dtype: "np.dtype[Any]") -> Any:
    return npst.from_dtype(dtype, allow_nan=False, allow_infinity=False)


def _as_bytes(array: np.ndarray) -> Any:
    values = array.ravel().tolist()
    return [value.encode() if isinstance(value, str) else value for value in values]


@settings(max_examples=150, deadline=None)
@given(TENSORS, st.data())
def test_a_request_is_read_as_it_was_written(inputs: dict[str, np.ndarray], data: st.DataObject) -> None:
    modes = {name: data.draw(st.sampled_from(("binary", "flat", "nested"))) for name in inputs}
    body, length = infer_body(inputs, modes=modes, id="a:b", parameters={"binary_data_output": True})
    request = read_infer_request(body, length)
    assert (request.id, request.is_binary, request.outputs) == ("a:b", True, None)
    assert list(request.inputs) == list(inputs)
    for name, array in inputs.items():
        read = request.inputs[name]
        assert read.shape == array.shape
        assert read.dtype == array.dtype
        assert read.flags.aligned
        assert _as_bytes(read) == _as_bytes(array)


@settings(max_examples=150, deadline=None)
@given(TENSORS, st.booleans())
def test_an_answer_holds_what_the_model_returned(outputs: dict[str, np.ndarray], is_binary: bool) -> None:
    request = InferRequest(
        id=None, inputs={}, outputs=None, is_binary=is_binary, timeout_us=None, sequence=None, sequence_start=False,
        sequence_end=False,
    )  # fmt: skip
    texts = {
        name: np.array([element.decode() for element in array.ravel()], dtype=object).reshape(array.shape)
        if array.dtype.kind == "O" else array
        for name, array in outputs.items()
    }  # fmt: skip
    body, length = write_infer_response(texts, request, model="m", version=3, request_id="r")
    header = json.loads(body[:length])
    assert {key: header[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "m", "model_version": "3", "id": "r",
    }  # fmt: skip
    # An answer has the form of a request, so it is read back as one.
    again = read_infer_request(
        json.dumps({"inputs": header["outputs"]}).encode() + (body[length:] if length else b""),
        str(len(json.dumps({"inputs": header["outputs"]}).encode())) if length else None,
    )
    for name, array in outputs.items():
        assert again.inputs[name].shape == array.shape
        assert _as_bytes(again.inputs[name]) == _as_bytes(array)


VALID, VALID_LENGTH = infer_body(
    {
        "x": np.arange(8, dtype=np.float32).reshape(2, 4),
        "text": np.array([b"one", "zwölf".encode()], dtype=object),
        "flag": np.array([True, False]),
        "number": np.array([[1], [2]], dtype=np.int64),
    },
    modes={"flag": "flat", "number": "nested"},
    id="id:1",
    parameters={"binary_data_output": False, "timeout": 1000},
    outputs=[{"name": "y", "parameters": {"binary_data": True, "classification": 2}}],
)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_damaged_body_is_refused_in_words_and_nothing_else(data: st.DataObject) -> None:
    body, length = bytearray(VALID), VALID_LENGTH
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 12)))
        body[start:end] = data.draw(
            st.binary(max_size=8)
            | st.sampled_from([b"9" * 30, b"[" * 3000, b"null", b"-1", b"1e400", b'"', b"}", b"NaN"])
        )
    if data.draw(st.booleans()):
        length = data.draw(st.text(max_size=5) | st.integers(-2, 2 * len(body)).map(str) | st.none())
    _reads_or_refuses(bytes(body), length)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
LIKE_A_TENSOR = st.fixed_dictionaries(
    {
        "name": JSON | st.just("x"),
        "shape": JSON | st.lists(st.integers(-1, 2**70), max_size=10),
        "datatype": JSON | st.sampled_from([*DTYPES, "BYTES", "BF16"]),
    },
    optional={"data": JSON, "parameters": JSON | st.dictionaries(st.just("binary_data_size"), JSON), "extra": JSON},
)
LIKE_A_REQUEST = st.fixed_dictionaries(
    {"inputs": JSON | st.lists(LIKE_A_TENSOR, max_size=3)},
    optional={"id": JSON, "outputs": JSON, "parameters": JSON, "extra": JSON},
)


@settings(max_examples=400, deadline=None)
@given(JSON | LIKE_A_REQUEST, st.binary(max_size=40), st.booleans())
def test_any_json_is_read_or_refused_in_words(content: Any, rest: bytes, has_length: bool) -> None:
    header = json.dumps(content).encode()
    _reads_or_refuses(header + rest, str(len(header)) if has_length else None)


def _reads_or_refuses(body: bytes, length: str | None) -> None:
    try:
        request = read_infer_request(body, length)
    except ProtocolError as error:
        said = str(error)
    else:
        said = "read: " + ", ".join(str(array.dtype) for array in request.inputs.values())
    assert ": " in said  # what is wrong: why
    said.encode()


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]} | changes


def _without_data(**changes: Any) -> dict[str, Any]:
    tensor = _tensor(**changes)
    del tensor["data"]
    return tensor


BAD = {
    "too few values": (_tensor(data=[1.0]), "x: 1 values given, shape [1, 2] has 2"),
    "another nesting": (_tensor(data=[[1.0], [2.0]]), "x: data of shape [2, 1] given, its shape is [1, 2]"),
    "uneven": (_tensor(shape=[2, 2], data=[[1.0, 2.0, 3.0], [4.0]]), "x: its lists have different lengths"),
    "text": (_tensor(data=[1.0, "2"]), "x: data of FP32: expected `float`, got `str` - at `[1]`"),
    "nothing": (_tensor(data=[1.0, None]), "x: data of FP32: expected `float`, got `null` - at `[1]`"),
    "a fraction": (_tensor(datatype="INT64", data=[1, 2.5]), "x: data of INT64: expected `int`, got `float`"),
    "too large an integer": (_tensor(datatype="INT8", data=[1, 200]), "x: a value is out of the range of INT8"),
    "a negative one": (_tensor(datatype="UINT8", data=[1, -1]), "x: a value is out of the range of UINT8"),
    "too large a float": (_tensor(data=[1, 1e39]), "x: a value is out of the range of FP32"),
    "a number for a boolean": (_tensor(datatype="BOOL", data=[1, True]), "x: data of BOOL: expected `bool`, got `int`"),
    "datatype": (_tensor(datatype="BF16"), "x: datatype 'BF16' given, allowed: BOOL, "),
    "shape": (_tensor(shape=[-1, 2]), "body: expected `int` >= 0 - at `inputs[0].shape[0]`"),
    "huge shape": (_tensor(shape=[2**28, 2**28]), "x: shape [268435456, 268435456] given, at most 268,435,456 values"),
    "no data": (_without_data(), "x: neither data nor the parameter binary_data_size given"),
    "both": (_tensor(parameters={"binary_data_size": 8}), "x: both data and the parameter binary_data_size given"),
    "shared memory": (
        _without_data(parameters={"shared_memory_region": "r"}),
        "x: parameter 'shared_memory_region' given, allowed: binary_data_size",
    ),
    "size": (_without_data(parameters={"binary_data_size": "8"}), "x: parameter binary_data_size: '8' given"),
    "unknown field": (_tensor(content=1), "body: object contains unknown field `content` - at `inputs[0]`"),
}


@pytest.mark.parametrize(("tensor", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_tensor_is_named(tensor: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_infer_request(json.dumps({"inputs": [tensor]}).encode(), None)
    assert str(caught.value).startswith(message)


BAD_BINARY = {
    "too long": (b"\0" * 12, {"binary_data_size": 12}, "FP32", "x: 12 bytes given, FP32 [1, 2] has 8"),
    "not sent": (b"\0" * 4, {"binary_data_size": 8}, "FP32", "x: binary_data_size 8 given, 4 bytes are left"),
    "left over": (b"\0" * 9, {"binary_data_size": 8}, "FP32", "body: 1 bytes are left after the data of all inputs"),
    "boolean": (b"\0\2", {"binary_data_size": 2}, "BOOL", "x: a byte of BOOL is neither 0 nor 1"),
    "few elements": (b"\0" * 4, {"binary_data_size": 4}, "BYTES", "x: 4 bytes given, its shape has 2 elements"),
    "long element": (b"\xff" * 8, {"binary_data_size": 8}, "BYTES", "x: element 0 of 2 ends after the data"),
    "more elements": (b"\0" * 12, {"binary_data_size": 12}, "BYTES", "x: 4 bytes are left after its 2 elements"),
}


@pytest.mark.parametrize(("rest", "parameters", "datatype", "message"), BAD_BINARY.values(), ids=BAD_BINARY.keys())
def test_binary_data_that_do_not_fit_are_named(rest: bytes, parameters: Any, datatype: str, message: str) -> None:
    header = json.dumps({"inputs": [_without_data(parameters=parameters, datatype=datatype)]}).encode()
    with pytest.raises(ProtocolError) as caught:
        read_infer_request(header + rest, str(len(header)))
    assert str(caught.value).startswith(message)


BAD_FIELDS = {
    "no inputs": ({"inputs": []}, "body: expected `array` of length >= 1 - at `inputs`"),
    "twice": ({"inputs": [_tensor(), _tensor()]}, "x: given twice"),
    "parameter": ({"inputs": [_tensor()], "parameters": {"priority": 1}}, "parameters: parameter 'priority' given"),
    "asked twice": ({"inputs": [_tensor()], "outputs": [{"name": "y"}] * 2}, "y: asked for twice"),
    "sequence": ({"inputs": [_tensor()], "parameters": {"sequence_end": True}}, "parameters: sequence_start or"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_bad_field_is_named(content: Any, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_infer_request(json.dumps(content).encode(), None)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [{"name": "x", "name": "z", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        b'{"id": "a", "id": "b", "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "data": [2]}]}',
        b'{"parameters": {"timeout": 1, "timeout": 2}, '
        b'"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}',
    ],
)  # fmt: skip
def test_a_key_that_occurs_twice_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="occurs twice"):
        read_infer_request(body, None)


def test_declared_sizes_allocate_no_more_than_was_sent() -> None:
    bodies = []
    for datatype in ("BYTES", "FP64"):
        for size in (0, 8, 2**28, 2**60):
            ways: list[dict[str, Any]] = [{"parameters": {"binary_data_size": size}}, {"data": [0]}, {"data": []}]
            for data in ways:
                tensor = {"name": "x", "shape": [2**28], "datatype": datatype, **data}
                bodies.append(json.dumps({"inputs": [tensor]}).encode())
    tracemalloc.start()
    for body in bodies:
        with pytest.raises(ProtocolError):
            read_infer_request(body + b"\0" * 8, str(len(body)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
