"""Records of spill files: length, CRC32, one byte for the kind, and msgpack."""

import struct
import zlib
from mmap import mmap
from typing import Any

import msgspec

from lightning_app.serving.journal.record import Outcome, Prediction

MAGIC = b"LAPSPL1\n"
_HEADER = struct.Struct("<II")
_PREDICTION, _OUTCOME = b"p", b"o"


class _Outcome(msgspec.Struct):
    """An outcome whose value is a text: raw JSON inside msgpack would be no msgpack."""

    request_id: str
    row: int
    time: float
    outcome: str | None
    reward: float | None
    key_id: str | None


_encoder = msgspec.msgpack.Encoder()
_prediction = msgspec.msgpack.Decoder(Prediction)
_outcome = msgspec.msgpack.Decoder(_Outcome)


def packed(record: Prediction | Outcome) -> bytes:
    """A record as it stands in a file.

    Args:
        record: The record.
    """
    if isinstance(record, Prediction):
        content = _PREDICTION + _encoder.encode(record)
    else:
        fields: dict[str, Any] = msgspec.structs.asdict(record)
        if record.outcome is not None:
            fields["outcome"] = bytes(record.outcome).decode()
        content = _OUTCOME + _encoder.encode(_Outcome(**fields))
    return _HEADER.pack(len(content), zlib.crc32(content)) + content


def end_of(data: bytes | mmap, begin: int) -> int | None:
    """Place after the record at a place; None if the data ends within it.

    Args:
        data: Content of a file.
        begin: Place of the record.
    """
    if len(data) - begin < _HEADER.size:
        return None
    length, _ = _HEADER.unpack_from(data, begin)
    end: int = begin + _HEADER.size + length
    return end if end <= len(data) else None


def unpacked(data: bytes, begin: int) -> tuple[Prediction | Outcome | None, int]:
    """Reads the record at a place.

    Args:
        data: Content of a file.
        begin: Place of the record.

    Returns:
        record: The record; None if its checksum is wrong.
        end: Place after it; -1 if the data ends within it.
    """
    end = end_of(data, begin)
    if end is None:
        return None, -1
    _, checksum = _HEADER.unpack_from(data, begin)
    content = data[begin + _HEADER.size : end]
    if zlib.crc32(content) != checksum:
        return None, end
    try:
        if content[:1] == _PREDICTION:
            return _prediction.decode(content[1:]), end
        held = _outcome.decode(content[1:])
    except msgspec.DecodeError:
        return None, end
    raw = None if held.outcome is None else msgspec.Raw(held.outcome.encode())
    fields = msgspec.structs.asdict(held) | {"outcome": raw}
    return Outcome(**fields), end
