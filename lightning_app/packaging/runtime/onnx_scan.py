"""Looks through an ONNX file without loading it: nothing outside the file, no operation that is not known.

Reads the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) with the field numbers of
onnx.proto; large tensors are stepped over, so that a file of any size takes about as long as its nodes do.
"""

from collections.abc import Iterator

from lightning_app.packaging.format.errors import PackageError

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Domains of operations that ONNX Runtime brings."""
MAX_DEPTH = 64
"""A branch within a branch is three levels deeper."""

# Fields of each message that are followed, and the message in each.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "training": {1: "graph", 2: "graph"},
}
_DATA_LOCATION, _EXTERNAL_DATA = 14, 13


def check_onnx(content: bytes) -> None:
    """Raises unless an ONNX file stands by itself.

    Args:
        content: The file.

    Raises:
        PackageError: It is no ONNX file, has data outside of itself, or operations of domains that are not known.
    """
    operations: set[tuple[str, str]] = set()
    functions: set[tuple[str, str]] = set()
    view = memoryview(content)
    if content[4:8] == b"ORTM":  # ONNX Runtime would take it for a file of its own format, whatever else it is
        raise PackageError("model.onnx: no ONNX file, it has the mark of ONNX Runtime's own format")
    if not any(number == 7 for number, _ in _fields(view)):
        raise PackageError("model.onnx: no ONNX file, it has no graph")
    _walk(view, "model", operations, functions, 0)
    unknown = sorted({operation for operation in operations if operation[0] not in DOMAINS} - functions)
    if unknown:
        domain, name = unknown[0]
        raise PackageError(
            f"model.onnx: operation {name} of the domain {domain!r} is not known; allowed are the domains "
            f"{', '.join(repr(known) for known in DOMAINS)}, and functions that the file itself defines"
        )


def _walk(
    message: memoryview, kind: str, operations: set[tuple[str, str]], functions: set[tuple[str, str]], depth: int
) -> None:
    if depth > MAX_DEPTH:
        raise PackageError(f"model.onnx: nested deeper than {MAX_DEPTH} levels")
    inner = _MESSAGES[kind]
    name, domain = "", ""
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                raise PackageError("model.onnx: has data in other files; write it with external_data=False")
        elif isinstance(value, memoryview):
            if number in inner:
                _walk(value, inner[number], operations, functions, depth + 1)
            elif kind == "node" and number in (4, 7):
                name, domain = (_text(value), domain) if number == 4 else (name, _text(value))
            elif kind == "function" and number in (1, 10):
                name, domain = (_text(value), domain) if number == 1 else (name, _text(value))
    if kind == "node":
        operations.add((domain, name))
    elif kind == "function":
        functions.add((domain, name))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; a number, or the bytes of what is nested or long."""
    place, end = 0, len(message)
    while place < end:
        start = place
        key, place = _varint(message, place)
        # Parsers drop the bits of a tag above the 32nd; no writer sets them, nor writes a tag longer than it must be.
        if key >= 2**32 or place - start != max(1, -(-key.bit_length() // 7)):
            raise PackageError("model.onnx: no ONNX file, a tag is not written as a serializer writes it")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            size, place = _varint(message, place)
            if size > end - place:
                raise PackageError("model.onnx: no ONNX file, or it was cut off")
            yield number, message[place : place + size]
            place += size
        else:
            raise PackageError("model.onnx: no ONNX file")
        if number == 0 or place > end:
            raise PackageError("model.onnx: no ONNX file, or it was cut off")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise PackageError("model.onnx: no ONNX file, or it was cut off")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise PackageError("model.onnx: no ONNX file")


def _text(value: memoryview) -> str:
    return bytes(value[:200]).decode("utf-8", errors="replace")
