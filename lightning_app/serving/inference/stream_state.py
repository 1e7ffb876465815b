"""Stream state as bytes, for sessions, and as text for clients, who give it back and are not trusted."""

import base64
import binascii
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.signature import StateSpec
from lightning_app.packaging.runtime.rows import StreamState

_FORMAT = 1
_HEAD_BYTES = 512
"""More than the names, types and sizes of one tensor take."""


class _Tensor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes


class _Content(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    digest: str
    tensors: list[_Tensor]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


def state_bytes(state: StreamState, *, digest: str) -> bytes:
    """A state as bytes.

    Args:
        state: State of all rows of a request.
        digest: Digest of the package that it is of.
    """
    tensors = [
        _Tensor(name, array.dtype.name, array.shape, array.astype(array.dtype.newbyteorder("<")).tobytes())
        for name, array in state.items()
    ]
    return _encode(_Content(_FORMAT, digest, tensors))


def read_state_bytes(content: bytes, specs: Sequence[StateSpec], *, digest: str) -> StreamState:
    """Reads bytes of `state_bytes`, and checks that they are a state of a package.

    Args:
        content: The bytes.
        specs: State of the package.
        digest: Digest of the package.

    Raises:
        RequestError: They are damaged, of another package, of other shapes, or hold numbers that are not finite.
    """
    try:
        read = _decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("state: damaged; give back what the answer before returned") from error
    if read.format != _FORMAT or read.digest != digest:
        raise RequestError(
            f"state: it is of the package {read.digest[:12]!r}, {digest[:12]} answers now; start the stream anew"
        )
    tensors = {tensor.name: tensor for tensor in read.tensors}
    if len(tensors) != len(read.tensors) or tensors.keys() != {spec.input for spec in specs}:
        raise RequestError("state: it has other tensors than the package; give back what the answer before returned")
    state = {spec.input: _array(tensors[spec.input], spec) for spec in specs}
    if len({len(array) for array in state.values()}) != 1:
        raise RequestError("state: its tensors have different numbers of streams")
    return state


def encode_state(state: StreamState, *, digest: str) -> str:
    """A state as text that a client gives back with its next request.

    Args:
        state: State of all rows of a request.
        digest: Digest of the package that it is of.
    """
    return base64.urlsafe_b64encode(state_bytes(state, digest=digest)).decode()


def decode_state(text: Any, specs: Sequence[StateSpec], *, digest: str, num_rows: int) -> StreamState:
    """Reads a text of `encode_state` that a client sent.

    Args:
        text: What the client sent.
        specs: State of the package.
        digest: Digest of the package.
        num_rows: Rows of the request, one per stream.

    Raises:
        RequestError: It is no such text, or no state of so many streams of this package.
    """
    if not isinstance(text, str):
        raise RequestError(f"state: {type(text).__name__} given, the text that the answer before returned is needed")
    most = sum(num_rows * _row_bytes(spec) + _HEAD_BYTES for spec in specs) + _HEAD_BYTES
    if len(text) > 4 * (most // 3 + 2):
        raise RequestError(f"state: {len(text):,} characters given, a state of {num_rows} streams has fewer")
    try:
        content = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("state: damaged; give back what the answer before returned") from error
    state = read_state_bytes(content, specs, digest=digest)
    check_streams(state, num_rows, what="state")
    return state


def check_streams(state: StreamState, num_rows: int, *, what: str) -> None:
    """Raises unless a state is of as many streams as a request has rows.

    Args:
        state: The state.
        num_rows: Rows of the request.
        what: Where the state comes from, for the message.

    Raises:
        RequestError: The numbers differ.
    """
    streams = len(next(iter(state.values())))
    if streams != num_rows:
        raise RequestError(f"{what}: its state is of {streams:,} streams, the request has {num_rows:,} rows")


def _row_bytes(spec: StateSpec) -> int:
    return prod(size for size in spec.shape[1:] if isinstance(size, int)) * np.dtype(spec.dtype).itemsize


def _array(tensor: _Tensor, spec: StateSpec) -> np.ndarray:
    sizes = tuple(size for size in spec.shape[1:] if isinstance(size, int))
    dtype = np.dtype(spec.dtype)
    if tensor.dtype != dtype.name or len(tensor.shape) != 1 + len(sizes) or tensor.shape[1:] != sizes:
        raise RequestError(
            f"state: {tensor.name} is {tensor.dtype[:20]} of shape {list(tensor.shape)[:9]}, {dtype.name} of "
            f"[streams, {', '.join(map(str, sizes))}] needed"
        )
    if tensor.shape[0] < 0 or len(tensor.content) != tensor.shape[0] * _row_bytes(spec):
        raise RequestError(f"state: {tensor.name} is incomplete; give back what the answer before returned")
    array = np.frombuffer(tensor.content, dtype=dtype.newbyteorder("<")).astype(dtype).reshape(tensor.shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise RequestError(f"state: {tensor.name} holds a number that is not finite")
    if dtype.kind == "b" and np.frombuffer(tensor.content, dtype=np.uint8).max(initial=0) > 1:
        raise RequestError(f"state: {tensor.name} holds something else than true and false")
    return array
