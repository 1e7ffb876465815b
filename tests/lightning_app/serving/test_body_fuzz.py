"""Damaged bodies through the real door: JSON, Arrow and Parquet get a 4xx in JSON, never a 500, and memory stays."""

import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_app.serving.pages.openapi_parts import ERROR_SCHEMA
from tests.lightning_app.serving.model_packages import model_packages
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS

JSON = "application/json"
STREAM, FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
MODELS = ("prices", "sizes", "load", "letters")
GROWTH = 150 * 2**20
"""Bytes by which the resident memory may grow; a body that declares gigabytes must not allocate them."""

few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    packages = model_packages(tmp_path_factory.mktemp("packages"))
    config = {"limits": {"body_bytes": 2**20, "rows": 1000}}
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items()), config=config) as running:
        for media_type, body in tables().items():  # imports what tables need
            assert post(running, "prices", body, media_type).status_code == 200
        before = memory(running)
        yield running
        assert memory(running) < before + GROWTH


def tables() -> dict[str, bytes]:
    """A good table by media type."""
    table = pl.DataFrame({name: [0.5, 1.5, 2.5] for name in COLUMNS})
    bodies = {}
    for media_type, write in (
        (STREAM, table.write_ipc_stream),
        (FILE, table.write_ipc),
        (PARQUET, table.write_parquet),
    ):
        file = io.BytesIO()
        write(file)
        bodies[media_type] = file.getvalue()
    return bodies


def post(worker: RunningWorker, model: str, body: bytes, media_type: str) -> httpx.Response:
    return worker.client.post(f"/models/{model}/predict", content=body, headers={"content-type": media_type})


def memory(worker: RunningWorker) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def check(answer: httpx.Response) -> None:
    """Either an answer, or a refusal as documented that names a field."""
    assert answer.status_code in (200, 400, 413, 422), (answer.status_code, answer.text[:500])
    if answer.status_code != 200:
        content = answer.json()
        jsonschema_rs.validate(ERROR_SCHEMA, content)
        error = content["error"]
        assert "field" in error, error  # a column may be named ""
        assert "Traceback" not in error["message"]
        assert "/lightning_app/" not in error["message"]
        assert len(error["message"]) < 5000


# JSON ----------------------------------------------------------------------------------------------------------------

STRANGE_TEXTS = ["", "\ud800", "\x00", "a" * 5000, "é", "🙂", "NaN", "length", "text", "-", "2024-01-01", "\u202e"]
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.sampled_from(STRANGE_TEXTS))
NAMES = st.sampled_from(
    ["length", "width", "height", "weight", "features", "past", "time", "load", "text", "tokens", ""]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5) | VALUES, max_size=4)
TABLES = st.dictionaries(NAMES, st.lists(LEAVES | VALUES, max_size=4), max_size=5)
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries({"records": RECORDS}),
    st.fixed_dictionaries({"columns": TABLES}),
    st.fixed_dictionaries({"tables": st.dictionaries(NAMES, st.fixed_dictionaries({"records": RECORDS}), max_size=2)}),
    st.dictionaries(
        st.sampled_from(["records", "columns", "tables", "state", "x"]), RECORDS | TABLES | LEAVES, max_size=3
    ),
)


def json_bytes(content: Any) -> bytes:
    """JSON as Python writes it: NaN and Infinity as they are, lone surrogates escaped."""
    return json.dumps(content).encode("utf-8", "surrogatepass")


def damaged(body: bytes, places: list[tuple[float, int]], cut: float) -> bytes:
    """A body with some bytes replaced, and its end cut off."""
    content = bytearray(body)
    for place, value in places:
        content[int(place * (len(content) - 1))] = value
    return bytes(content[: int(cut * len(content))])


PLACES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
CUTS = st.just(1.0) | st.floats(0, 1)


def ask_json(worker: RunningWorker, body: Any, model: str) -> None:
    check(post(worker, model, json_bytes(body), JSON))


def ask_damaged_json(worker: RunningWorker, body: Any, model: str, places: list[tuple[float, int]], cut: float) -> None:
    check(post(worker, model, damaged(json_bytes(body), places, cut), JSON))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\xff\xfe{\x00}\x00",
        b'\xef\xbb\xbf{"records": []}',
        b'{"records": [{"length": "\xed\xa0\x80"}]}',
        b'{"records": [{"text": "\\ud800"}]}',
        b'{"records": [{"length": 1e999}]}',
        b'{"records": [{"length": -1e999}]}',
        b'{"records": [{"length": ' + b"9" * 5000 + b"}]}",
        b'{"records": [{"length": NaN}]}',
        b'{"records": [{"length": 0x10}]}',
        b'{"records": [{"length": 1, "length": 1}]}',
        b'{"records": [], "columns": {}}',
        b'{"records": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"records": [' + b"{}," * 200_000 + b"{}]}",
        b'{"columns": {' + b",".join(b'"c%d": [1]' % number for number in range(20_000)) + b"}}",
        b'{"records": [{"past": ' + b"[" * 60 + b"1" + b"]" * 60 + b"}]}",
        b'{"records": [{"past": [[1], [1, 2]]}]}',
        b'{"records": [{"tokens": []}]}',
        b'{"records": [{"text": ["a"]}]}',
        b'{"records": [{"time": {"a": 1}, "load": 1}]}',
        b'{"tables": {"nodes": {"records": [{}]}}}',
        b'{"state": "x", "records": [{"text": "abc"}]}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_known_traps_of_json_are_refused(worker: RunningWorker, model: str, body: bytes) -> None:
    answer = post(worker, model, body, JSON)
    check(answer)
    assert answer.status_code != 200


# Tables --------------------------------------------------------------------------------------------------------------


def ask_damaged_table(worker: RunningWorker, media_type: str, places: list[tuple[float, int]], cut: float) -> None:
    check(post(worker, "prices", damaged(tables()[media_type], places, cut), media_type))


def ask_no_table(worker: RunningWorker, media_type: str, body: bytes) -> None:
    answer = post(worker, "prices", body, media_type)
    check(answer)
    assert answer.status_code != 200


@pytest.mark.parametrize("media_type", [STREAM, FILE, PARQUET])
@pytest.mark.parametrize("size", [2**31 - 1, 2**62])
def test_a_table_that_declares_huge_sizes_allocates_none(worker: RunningWorker, media_type: str, size: int) -> None:
    body = tables()[media_type]
    width = 8 if size > 2**31 else 4
    huge = struct.pack("<q" if width == 8 else "<i", size)
    for place in range(0, len(body) - width, 16 if width == 4 else 8):
        check(post(worker, "prices", body[:place] + huge + body[place + width :], media_type))


STRANGE_COLUMNS = {
    "text": pa.array(["a", "b"]),
    "null": pa.nulls(2),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "list": pa.array([[1.0], [2.0, 3.0]]),
    "struct": pa.array([{"a": 1}, {"a": 2}]),
    "binary": pa.array([b"\xff", b"\x00"]),
    "decimal": pa.array([1, 2], pa.decimal128(38, 10)),
    "time": pa.array([0, 1], pa.timestamp("ns", "UTC")),
    "duration": pa.array([0, 1], pa.duration("s")),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "half": pa.array(np.array([1, np.nan], dtype=np.float16)),
    "infinite": pa.array([np.inf, -np.inf]),
    "huge": pa.array([2**64 - 1, 0], pa.uint64()),
    "boolean": pa.array([True, False]),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("column", STRANGE_COLUMNS)
def test_columns_of_other_types_are_refused_by_name(worker: RunningWorker, model: str, column: str) -> None:
    names = {"load": ["time", "load"], "letters": ["text"]}.get(model, list(COLUMNS))
    table = pa.table(dict.fromkeys(names, STRANGE_COLUMNS[column]))
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    check(post(worker, model, stream.getvalue(), STREAM))
    if column != "half":  # Parquet of this version has no such type
        file = io.BytesIO()
        pq.write_table(table, file)
        check(post(worker, model, file.getvalue(), PARQUET))


def test_a_small_body_of_many_rows_is_refused_before_it_is_unpacked(worker: RunningWorker) -> None:
    for rows in (1001, 50_000_000):
        table = pa.table(
            {name: pa.array(np.zeros(rows, dtype=np.uint8)) for name in COLUMNS[: 4 if rows < 2000 else 1]}
        )
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd")
        stream = io.BytesIO()
        with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table, max_chunksize=2**24)
        for media_type, body in ((PARQUET, file.getvalue()), (STREAM, stream.getvalue())):
            assert len(body) < 2**20
            answer = post(worker, "prices", body, media_type)
            check(answer)
            assert answer.status_code == 413, answer.text


# Compressed bodies, feedback, headers and queries --------------------------------------------------------------------


def ask_compressed(
    worker: RunningWorker, body: Any, encoding: str, places: list[tuple[float, int]], cut: float
) -> None:
    packed = (gzip.compress if encoding == "gzip" else zlib.compress)(json_bytes(body))
    headers = {"content-type": JSON, "content-encoding": encoding}
    check(worker.client.post("/predict", content=damaged(packed, places, cut), headers=headers))


@pytest.mark.parametrize("path", ["/predict", "/v2/models/prices/infer"])
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(worker: RunningWorker, path: str) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = b"".join([*(packer.compress(bytes(2**20)) for _ in range(64)), packer.flush()])
    assert len(packed) < 2**20
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    assert worker.client.post(path, content=packed, headers=headers).status_code == 413


def give_feedback(worker: RunningWorker, body: Any) -> None:
    answer = worker.client.post("/feedback", content=json_bytes(body), headers={"content-type": JSON})
    if answer.status_code != 409:  # without a journal there is nothing to give feedback to
        check(answer)


NAMES_OF_HEADERS = ("X-Request-Id", "X-Deadline-Ms", "Accept", "Content-Type", "Content-Encoding", "traceparent")
HEADERS = st.dictionaries(st.sampled_from(NAMES_OF_HEADERS), st.binary(max_size=40).map(lambda text: _clean(text)))
QUERY = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40)


def _clean(text: bytes) -> bytes:
    """Bytes that HTTP allows in a header."""
    return bytes(byte for byte in text if byte > 31 and byte != 127).strip()


def ask_with_headers(worker: RunningWorker, headers: dict[str, bytes], query: str, option: str) -> None:
    row = json.dumps({"records": [dict.fromkeys(COLUMNS, 0.5)]}).encode()
    address = httpx.URL(f"{worker.address}/models/prices/predict", query=(option + query).encode())
    answer = worker.client.post(address, content=row, headers={"content-type": JSON, **headers})
    if answer.status_code not in (406, 415, 504):
        check(answer)


# All of them ---------------------------------------------------------------------------------------------------------

DRAWN: dict[Callable[..., None], dict[str, Any]] = {
    ask_json: {"body": BODIES, "model": st.sampled_from(MODELS)},
    ask_damaged_json: {"body": BODIES, "model": st.sampled_from(MODELS), "places": PLACES, "cut": CUTS},
    ask_damaged_table: {"media_type": st.sampled_from([STREAM, FILE, PARQUET]), "places": PLACES, "cut": CUTS},
    ask_no_table: {"media_type": st.sampled_from([STREAM, FILE, PARQUET]), "body": st.binary(max_size=300)},
    ask_compressed: {"body": BODIES, "encoding": st.sampled_from(["gzip", "deflate"]), "places": PLACES, "cut": CUTS},
    give_feedback: {
        "body": VALUES | st.dictionaries(st.sampled_from(["request_id", "row", "outcome", "reward", ""]), VALUES)
    },
    ask_with_headers: {
        "headers": HEADERS,
        "query": QUERY,
        "option": st.sampled_from(["", "at=", "session=", "return_state=", "at=1&at="]),
    },
}


@pytest.mark.parametrize("ask", DRAWN, ids=lambda ask: ask.__name__)
def test_whatever_is_sent_is_answered_or_refused(worker: RunningWorker, ask: Callable[..., None]) -> None:
    few(given(**DRAWN[ask])(ask))(worker=worker)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ask", DRAWN, ids=lambda ask: ask.__name__)
def test_much_of_whatever_is_sent_is_answered_or_refused(worker: RunningWorker, ask: Callable[..., None]) -> None:
    many(given(**DRAWN[ask])(ask))(worker=worker)
