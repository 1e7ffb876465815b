"""Compressed bodies are read up to their bound, whatever the route."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from lightning_app.serving.http.compression import decompress
from lightning_app.serving.http.errors import HttpError
from tests.lightning_app.serving.server import running_worker
from tests.packages import COLUMNS, small_package


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_read_up_to_its_bound(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    content = b"0" * 1000
    assert decompress(compress(content), encoding, most=1000) == content
    for body, most, status, message in (
        (compress(content), 999, 413, "body: more than 999 bytes once decompressed"),
        (compress(content)[:-4], 1000, 400, f"body: the {encoding} stream is cut off"),
        (b"", 1000, 400, f"body: the {encoding} stream is cut off"),
        (b"abc", 1000, 400, f"body: no {encoding} stream"),
        (compress(content) + b"x", 1000, 400, "body: 1 bytes are left"),
    ):
        with pytest.raises(HttpError) as caught:
            decompress(body, encoding, most=most)
        assert (caught.value.status, caught.value.message[: len(message)]) == (status, message)


def test_records_may_be_compressed(tmp_path: Path) -> None:
    body = msgspec.json.encode({"records": [dict.fromkeys(COLUMNS, 0.5)]})
    limits = {"limits": {"body_bytes": 10_000}}
    with running_worker(tmp_path / "w", [("price", small_package(tmp_path / "price"))], config=limits) as worker:

        def status(content: bytes, encoding: str) -> int:
            headers = {"content-type": "application/json", "content-encoding": encoding}
            return worker.client.post("/predict", content=content, headers=headers).status_code

        assert status(gzip.compress(body), "gzip") == 200
        assert status(zlib.compress(body), "deflate") == 200
        assert status(body, "identity") == 200
        assert status(body, "gzip") == 400
        assert status(body, "br") == 415
        assert status(gzip.compress(b" " * 10**7), "gzip") == 413
