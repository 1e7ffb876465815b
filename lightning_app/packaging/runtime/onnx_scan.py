"""ONNX scan: checks an untrusted ONNX file before it is loaded: no external data, no unknown operators.

Parses the protocol buffer wire format (https://protobuf.dev/programming-guides/encoding) with the field numbers of
onnx.proto, and skips tensor data, so that the time depends on the number of nodes, not on the file size.
"""

from collections.abc import Iterator

from lightning_app.packaging.format.errors import PackageError

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator domains that ONNX Runtime implements."""
MAX_DEPTH = 64
"""Maximum nesting of messages; each nested control-flow branch adds three levels."""

# Message type -> field number -> type of the nested message, for the fields to descend into.
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
    """Raises unless an ONNX file is self-contained and uses known operators only.

    Args:
        content: Content of the file.

    Raises:
        PackageError: The file is no ONNX file, refers to external data, or uses operators of unknown domains.
    """
    operations: set[tuple[str, str]] = set()
    functions: set[tuple[str, str]] = set()
    view = memoryview(content)
    if content[4:8] == b"ORTM":  # ONNX Runtime would parse it as its own format, which is not checked here
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
    """Field number and value of each field in a message: an integer, or the bytes of a nested or long value."""
    offset, end = 0, len(message)
    while offset < end:
        start = offset
        key, offset = _varint(message, offset)
        # Parsers differ on tags above 32 bits and on overlong tags, which could hide a field from this check.
        if key >= 2**32 or offset - start != max(1, -(-key.bit_length() // 7)):
            raise PackageError("model.onnx: no ONNX file, a tag is not written as a serializer writes it")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, offset = _varint(message, offset)
            yield number, value
        elif wire in (1, 5):
            offset += 8 if wire == 1 else 4
        elif wire == 2:
            size, offset = _varint(message, offset)
            if size > end - offset:
                raise PackageError("model.onnx: no ONNX file, or it was cut off")
            yield number, message[offset : offset + size]
            offset += size
        else:
            raise PackageError("model.onnx: no ONNX file")
        if number == 0 or offset > end:
            raise PackageError("model.onnx: no ONNX file, or it was cut off")


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if offset >= len(message):
            raise PackageError("model.onnx: no ONNX file, or it was cut off")
        byte = message[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
    raise PackageError("model.onnx: no ONNX file")


def _text(value: memoryview) -> str:
    return bytes(value[:200]).decode("utf-8", errors="replace")
