"""JSON of specs that packages carry: deterministic bytes, and a version that is checked before anything else."""

from typing import TypeVar

import msgspec

SpecT = TypeVar("SpecT", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    version: int


def encode_spec(spec: msgspec.Struct) -> bytes:
    """Serializes a spec to UTF-8 JSON; equal specs give equal bytes.

    Args:
        spec: A spec with a field `version`.
    """
    return msgspec.json.format(msgspec.json.encode(spec, order="deterministic"), indent=1) + b"\n"


def decode_spec(content: bytes, spec_type: type[SpecT], *, newest: int) -> SpecT:
    """Parses a spec.

    Args:
        content: UTF-8 JSON.
        spec_type: Class of the spec.
        newest: Newest version that can be read.

    Raises:
        ValueError: The content is no spec, or of a newer version.
    """
    try:
        version = msgspec.json.decode(content, type=_Versioned).version
        if version > newest:
            raise ValueError(f"version {version} given, this version of lightning-app reads up to {newest}")
        return msgspec.json.decode(content, type=spec_type)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
