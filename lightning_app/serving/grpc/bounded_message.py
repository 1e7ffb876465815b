"""Bounded messages: how many parts a message may have, counted before protobuf makes objects of them.

An empty tensor takes 2 bytes on the wire and 80 in memory: a body of 16 MiB would become 660 MiB.
"""

from lightning_app.serving.v2.errors import ProtocolError

MOST_PARTS = 4096
"""Fields of a request, and of all its tensors; their contents do not count."""
_UNCOUNTED_BYTES = 2**15
"""Below this size no message needs much memory."""
_INPUTS = 5
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def check_parts(body: bytes) -> None:
    """Raises if a ModelInferRequest has too many parts; what is malformed is left to the parser.

    Args:
        body: The message.

    Raises:
        ProtocolError: It has more than `MOST_PARTS`.
    """
    if len(body) > _UNCOUNTED_BYTES:
        _count(body, 0, len(body), parts=0, is_tensor=False)


def _count(body: bytes, start: int, end: int, *, parts: int, is_tensor: bool) -> int:
    """Number of parts up to here."""
    while start < end:
        parts += 1
        if parts > MOST_PARTS:
            raise ProtocolError("body", f"over {MOST_PARTS:,} fields, parameters and tensors given; send fewer")
        tag, start = _varint(body, start, end)
        wire_type, number = tag & 7, tag >> 3
        if wire_type == _VARINT:
            _, start = _varint(body, start, end)
        elif wire_type == _EIGHT_BYTES:
            start += 8
        elif wire_type == _FOUR_BYTES:
            start += 4
        elif wire_type == _LENGTH:
            length, start = _varint(body, start, end)
            if not is_tensor and number == _INPUTS:
                parts = _count(body, start, min(start + length, end), parts=parts, is_tensor=True)
            start += length
        else:  # a group, which the protocol has none of; unknown ones are kept as they are
            raise ProtocolError("body", "no ModelInferRequest")
    return parts


def _varint(body: bytes, start: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    number = shift = 0
    while start < end and shift < 70:
        byte = body[start]
        number |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return number, start
    return number, end
