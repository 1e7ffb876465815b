"""Compressed bodies: gzip and deflate, decompressed up to a bound."""

import zlib

from lightning_app.serving.v2.errors import ProtocolError

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class TooLargeError(ProtocolError):
    """A body is larger than allowed once it is decompressed."""


def decompress(body: bytes, encoding: str, *, most: int) -> bytes:
    """Decompresses a body.

    Args:
        body: The body as sent.
        encoding: Value of the header `Content-Encoding`.
        most: Largest allowed size in bytes, decompressed.

    Raises:
        TooLargeError: The content is larger; no more than that is ever decompressed.
        ProtocolError: The encoding is unknown, or the body is damaged.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW_BITS:
        raise ProtocolError("Content-Encoding", f"{encoding[:50]!r} given, allowed: gzip, deflate, identity")
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise ProtocolError("body", f"no {encoding} stream: {error}") from error
    if len(content) > most:
        raise TooLargeError("body", f"more than {most:,} bytes once decompressed, at most {most:,} are allowed")
    if not stream.eof:
        raise ProtocolError("body", f"the {encoding} stream is cut off")
    if stream.unused_data:
        raise ProtocolError("body", f"{len(stream.unused_data):,} bytes are left after the {encoding} stream")
    return content
