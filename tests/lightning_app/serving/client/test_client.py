"""The clients against a real worker."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lightning_app.serving import AsyncClient, Client, RequestRefusedError
from lightning_app.serving.client.bodies import encode
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.model_packages import series_package
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, LABELS, small_package

RECORDS = [{"length": 1.0, "width": 2.0, "height": -0.5, "weight": 0.25}, dict.fromkeys(COLUMNS, 0.5)]
TABLE = pl.DataFrame(RECORDS)
NAMES = ["mlp", "classes", "load", "letters"]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("served")
    packages = {
        "mlp": small_package(folder / "mlp"),
        "classes": small_package(folder / "classes", labels=LABELS),
        "load": series_package(folder / "load"),
        "letters": stream_package(folder / "letters"),
    }
    with running_worker(folder / "worker", list(packages.items())) as running:
        yield running


@pytest.fixture(scope="module")
def client(worker: RunningWorker) -> Iterator[Client]:
    with Client(worker.address) as opened:
        yield opened


def test_records_columns_arrays_and_tables_come_back_as_they_were_sent(client: Client) -> None:
    records = client.predict(RECORDS)
    (name,) = records.predictions[0]
    expected = [row[name] for row in records.predictions]

    columns = client.predict(TABLE.to_dict(as_series=False)).predictions
    assert columns[name] == pytest.approx(expected)
    arrays = client.predict({column: TABLE[column].to_numpy() for column in COLUMNS}).predictions
    assert isinstance(arrays[name], np.ndarray)
    np.testing.assert_allclose(arrays[name], expected)
    table = client.predict(TABLE)
    assert isinstance(table.predictions, pl.DataFrame)
    np.testing.assert_allclose(table.predictions[name].to_numpy(), expected, rtol=1e-6)
    arrow = client.predict(TABLE.to_arrow()).predictions
    assert isinstance(arrow, pa.Table)
    np.testing.assert_allclose(arrow[name].to_numpy(), expected, rtol=1e-6)
    for answer in (records, table):
        assert (answer.model, answer.version, answer.arm) == ("mlp", None, "champion")
        assert answer.digest == client.models()[0]["digest"]
        assert len(answer.request_id) > 20


def test_another_model_is_asked_by_name_under_a_given_id(client: Client) -> None:
    answer = client.predict(RECORDS, model="classes", request_id="mine-1")
    assert (answer.model, answer.request_id) == ("classes", "mine-1")
    assert [each["name"] for each in client.models()] == NAMES
    assert client.ready()


def test_refusals_say_what_is_wrong(client: Client) -> None:
    with pytest.raises(RequestRefusedError, match="'none' given, served are mlp, classes, load, letters") as caught:
        client.predict(RECORDS, model="none")
    assert (caught.value.status, caught.value.code) == (404, "no_such_model")
    with pytest.raises(RequestRefusedError, match="features: not given") as caught:
        client.predict([{"width": 1.0}])
    assert caught.value.status == 422
    with pytest.raises(ValueError, match="float given; a list of records"):
        client.predict(1.5)
    with pytest.raises(ValueError, match="exactly one of data, tables"):
        client.predict()
    with pytest.raises(ValueError, match="no infinite numbers"):
        client.predict({"length": np.array([np.inf])})
    with pytest.raises(ValueError, match="outcome or a reward"):
        client.feedback("r")


def test_raw_rows_are_answered_at_times(client: Client) -> None:
    start = datetime(2024, 6, 1)
    rows = [{"time": start + timedelta(hours=hour), "load": 50.0 + hour % 24} for hour in range(60)]
    times = [start + timedelta(hours=50), start + timedelta(hours=59)]
    by_record = client.predict(rows, model="load", at=times).predictions
    by_table = client.predict(pl.DataFrame(rows), model="load", at=times).predictions
    assert len(by_record) == len(by_table) == 2 * 24
    assert list(by_record[0]) == by_table.columns


def test_streams_continue_by_session_and_by_state(client: Client) -> None:
    first, second = {"text": ["abc "]}, {"text": ["dbca"]}
    whole = client.predict({"text": ["abc dbca"]}, model="letters").predictions["logits"][0][4:]
    client.predict(first, model="letters", session="s")
    kept = client.predict(second, model="letters", session="s").predictions["logits"][0]
    state = client.predict(first, model="letters", return_state=True).state
    given_back = client.predict(second, model="letters", state=state).predictions["logits"][0]
    np.testing.assert_allclose(kept, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(given_back, whole, rtol=1e-4, atol=1e-5)


def test_tables_and_states_are_sent_as_json() -> None:
    tables = {"a": [{"x": 1}], "b": {"y": np.array([1.5, np.nan])}, "c": pl.DataFrame({"z": ["t"]})}
    sent = json.loads(encode(None, tables={**tables, "d": tables["c"].to_arrow()}, state=None).content)
    assert sent == {
        "tables": {
            "a": {"records": [{"x": 1}]},
            "b": {"columns": {"y": [1.5, None]}},
            "c": {"columns": {"z": ["t"]}},
            "d": {"columns": {"z": ["t"]}},
        }
    }
    with_state = encode(tables["c"], tables=None, state="abc")
    assert json.loads(with_state.content) == {"columns": {"z": ["t"]}, "state": "abc"}


def test_async_requests_run_at_once(worker: RunningWorker) -> None:
    async def ask() -> list[float]:
        async with AsyncClient(worker.address) as client:
            assert await client.ready()
            answers = await asyncio.gather(*(client.predict(TABLE[:1]) for _ in range(20)))
            assert len({answer.request_id for answer in answers}) == 20
            assert [each["name"] for each in await client.models()] == NAMES
            return [answer.predictions.row(0)[0] for answer in answers]

    assert len(set(asyncio.run(ask()))) == 1


def test_plain_requests_import_no_tables(worker: RunningWorker) -> None:
    program = (
        "import sys; from lightning_app.serving import Client\n"
        f"answer = Client({worker.address!r}).predict({RECORDS!r})\n"
        "assert len(answer.predictions) == 2\n"
        "print([name for name in ('torch', 'polars', 'pyarrow', 'numpy', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_answer_that_nobody_serves_is_not_ready(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        assert not client.ready()
