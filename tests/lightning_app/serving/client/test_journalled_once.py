"""Retries against a real worker with a journal: whatever gets lost, a prediction is journalled once."""

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from lightning_app.serving import Answer, AsyncClient, Client, RequestRefusedError, UnavailableError
from tests.lightning_app.serving.client.cutting_proxy import cutting_proxy
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, small_package

ROWS = [dict.fromkeys(COLUMNS, 0.5)]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("served")
    journal = {"journal": {"url": f"sqlite:///{folder}/journal.db"}}
    with running_worker(folder / "worker", [("mlp", small_package(folder / "mlp"))], config=journal) as running:
        yield running


def journalled(worker: RunningWorker, what: str, request_id: str) -> list[Any]:
    with sqlite3.connect(worker.folder.parent / "journal.db") as journal:
        return [row[0] for row in journal.execute(f"select {what} from journal where request_id = ?", [request_id])]


def ask(address: str, data: Any, **options: Any) -> Answer:
    with Client(address) as client:
        return client.predict(data, **options)


def ask_async(address: str, data: Any, **options: Any) -> Answer:
    async def run() -> Answer:
        async with AsyncClient(address) as client:
            return await client.predict(data, **options)

    return asyncio.run(run())


@pytest.mark.parametrize("ask", [ask, ask_async], ids=["sync", "async"])
@pytest.mark.parametrize("data", [ROWS, pl.DataFrame(ROWS)], ids=["json", "arrow"])
def test_a_prediction_whose_answer_was_lost_is_journalled_once(worker: RunningWorker, ask: Any, data: Any) -> None:
    with cutting_proxy(worker.address, lost=2) as address:
        answer = ask(address, data)
    assert answer.answered_before
    assert journalled(worker, "arm", answer.request_id) == [answer.arm]
    assert not ask(worker.address, data).answered_before
    if isinstance(data, list):
        (sent,) = journalled(worker, "answer", answer.request_id)
        assert f'"{answer.request_id}"' in sent


def test_a_prediction_that_the_client_gave_up_is_journalled_once_when_asked_again(worker: RunningWorker) -> None:
    with cutting_proxy(worker.address, lost=1) as address, Client(address, retries=0) as client:
        with pytest.raises(UnavailableError) as caught:
            client.predict(ROWS)
        request_id = caught.value.request_id
        answer = client.predict(ROWS, request_id=request_id)
    assert answer.answered_before
    assert answer.request_id == request_id
    assert len(journalled(worker, "arm", request_id)) == 1


def test_feedback_whose_answer_was_lost_is_stored_once(worker: RunningWorker) -> None:
    with Client(worker.address) as client:
        answer = client.predict(ROWS * 2)
    with cutting_proxy(worker.address, lost=1) as address, Client(address) as client:
        assert client.feedback(answer.request_id, outcome=1.5) is False  # the first attempt stored it
    with Client(worker.address) as client:
        with pytest.raises(RequestRefusedError, match="another outcome") as caught:
            client.feedback(answer.request_id, outcome=2.5)
        assert caught.value.code == "feedback_conflict"
        assert client.feedback(answer.request_id, row=1, reward=0.5)
