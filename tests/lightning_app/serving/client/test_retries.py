import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lightning_app.serving import Answer, AsyncClient, Client, RequestRefusedError, UnavailableError
from tests.lightning_app.serving.client.flaky_server import (
    Behaviour,
    answers,
    flaky_server,
    hangs_up,
    says_nothing,
    trickles,
)

ROWS = [{"x": 1.0}]
BUSY = {"error": {"code": "busy", "message": "try again"}, "request_id": "r"}


def ask(address: str, **options: Any) -> Answer:
    with Client(address, **options) as client:
        return client.predict(ROWS)


def ask_async(address: str, **options: Any) -> Answer:
    async def run() -> Answer:
        async with AsyncClient(address, **options) as client:
            return await client.predict(ROWS)

    coroutine: Coroutine[Any, Any, Answer] = run()
    return asyncio.run(coroutine)


both = pytest.mark.parametrize("ask", [ask, ask_async], ids=["sync", "async"])
Ask = Callable[..., Answer]


@both
@pytest.mark.parametrize(
    "failure",
    [hangs_up, says_nothing, answers(502, b"<html>"), answers(503, BUSY), answers(504, BUSY), answers(429, BUSY)],
    ids=["cut", "timeout", "502", "503", "504", "429"],
)
def test_a_request_without_an_answer_is_sent_again_under_its_id(ask: Ask, failure: Behaviour) -> None:
    with flaky_server(failure, failure, answers(200)) as server:
        answer = ask(server.address, timeout=0.2)
    assert (answer.predictions, answer.model, answer.version, answer.arm) == ([{"y": 1.5}], "waves", 3, "champion")
    assert len(server.heads) == 3
    assert len({head["x-request-id"] for head in server.heads}) == 1
    assert all(float(head["x-deadline-ms"]) <= 200 for head in server.heads)


@both
def test_a_refusal_is_final_and_names_field_and_rows(ask: Ask) -> None:
    error = {"error": {"code": "bad_rows", "message": "x: no", "field": "x", "rows": {"3": "x: no"}}, "request_id": "r"}
    with flaky_server(answers(422, error)) as server, pytest.raises(RequestRefusedError, match="x: no") as caught:
        ask(server.address)
    assert len(server.heads) == 1
    refused = caught.value
    assert (refused.status, refused.code, refused.field, refused.rows) == (422, "bad_rows", "x", {3: "x: no"})
    assert refused.request_id == server.heads[0]["x-request-id"]


@both
def test_a_failure_of_the_server_is_not_repeated(ask: Ask) -> None:
    with (
        flaky_server(answers(500, b"<html>")) as server,
        pytest.raises(UnavailableError, match="answered 500") as caught,
    ):
        ask(server.address)
    assert (len(server.heads), caught.value.status, caught.value.attempts) == (1, 500, 1)


@both
def test_retries_end(ask: Ask) -> None:
    with flaky_server(answers(503, BUSY)) as server, pytest.raises(UnavailableError, match="try again") as caught:
        ask(server.address, retries=2)
    assert (len(server.heads), caught.value.attempts, caught.value.code) == (3, 3, "busy")


@both
def test_the_deadline_bounds_all_attempts(ask: Ask) -> None:
    with flaky_server(says_nothing) as server:
        start = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            ask(server.address, deadline=0.5, timeout=0.2, retries=100)
        assert time.monotonic() - start < 1.5
    assert 1 < len(server.heads) < 4
    assert caught.value.code == "timeout"
    assert float(server.heads[-1]["x-deadline-ms"]) <= 200


@both
def test_an_answer_that_trickles_in_does_not_outlast_the_deadline(ask: Ask) -> None:
    with flaky_server(trickles) as server:
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            ask(server.address, deadline=0.3)
        assert time.monotonic() - start < 0.9


@both
def test_the_server_says_how_long_to_wait(ask: Ask) -> None:
    with flaky_server(answers(503, BUSY, Retry_After="1"), answers(200)) as server:
        start = time.monotonic()
        ask(server.address)
        assert time.monotonic() - start >= 1
    with flaky_server(answers(429, BUSY, Retry_After="3600")) as server:
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            ask(server.address)  # longer than its deadline: it does not even wait
        assert time.monotonic() - start < 1
        assert len(server.heads) == 1


@both
def test_a_server_that_does_not_listen_is_unreachable(ask: Ask) -> None:
    with flaky_server(hangs_up) as server:
        address = server.address
    with pytest.raises(UnavailableError, match="no answer: ") as caught:
        ask(address, retries=1)
    assert (caught.value.code, caught.value.status, caught.value.attempts) == ("unreachable", None, 2)


@pytest.mark.parametrize("option", ["deadline", "timeout", "retries"])
def test_impossible_options_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: -1 given"):
        Client("http://localhost", **{option: -1})  # type: ignore[arg-type]
