"""Compressed bodies: gzip and deflate, decompressed up to a bound."""

import zlib

from lightning_app.serving.http.errors import HttpError

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def decompress(body: bytes, encoding: str, *, most: int) -> bytes:
    """Decompresses a body.

    Args:
        body: The body as sent.
        encoding: Value of the header `Content-Encoding`.
        most: Largest allowed size in bytes, decompressed.

    Raises:
        HttpError: The content is larger, of which no more than that is ever decompressed; the encoding is unknown, or
            the body is damaged.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW_BITS:
        message = f"Content-Encoding: {encoding[:50]!r} given, allowed: gzip, deflate, identity"
        raise HttpError(415, "content_encoding", message, field="Content-Encoding")
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise _damaged(f"no {encoding} stream: {error}") from error
    if len(content) > most:
        message = f"body: more than {most:,} bytes once decompressed, at most {most:,} are allowed"
        raise HttpError(413, "too_large", message, field="body")
    if not stream.eof:
        raise _damaged(f"the {encoding} stream is cut off")
    if stream.unused_data:
        raise _damaged(f"{len(stream.unused_data):,} bytes are left after the {encoding} stream")
    return content


def _damaged(problem: str) -> HttpError:
    return HttpError(400, "bad_encoding", f"body: {problem}", field="body")
