"""The journal of a whole server: what it answered is there, whatever happens to it."""

import os
import shutil
import signal
from pathlib import Path

import httpx
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.supervisor.running_server import RECORDS, ROW, Clients, is_alive, running_server
from tests.packages import small_package

URL = "sqlite:///journal/journal.db"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package."""
    return small_package(tmp_path_factory.mktemp("packages") / "package")


@pytest.fixture(autouse=True)
def _folder(_in_empty_folder: None) -> None:
    Path("journal").mkdir()


def journalled() -> list[str]:
    return [one.request_id for part in open_reader(URL).predictions(Selection()) for one in part]


def test_answers_and_feedback_become_a_training_set(package: Path) -> None:
    with running_server(package, "--journal", URL, "--workers", 2) as server:
        post = httpx.Client(base_url=server.address).post
        headers = {"X-Request-Id": "first"}
        first = post("/predict", json={"records": [ROW, {**ROW, "length": 1.0}]}, headers=headers)
        assert (
            post("/predict", json={"records": [ROW, {**ROW, "length": 1.0}]}, headers=headers).content == first.content
        )
        assert post("/predict", json=RECORDS, headers=headers).status_code == 409
        assert post("/feedback", json={"request_id": "first", "row": 1, "outcome": 2.5}).json()["stored"]
        assert post("/feedback", json={"request_id": "first", "row": 1, "outcome": 3}).status_code == 409
        prices = [one["price"] for one in first.json()["predictions"]]
        assert server.stop() == 0
    assert main(["journal", "export", URL, "--output", "rows.parquet"]) == 0
    rows = pl.read_parquet("rows.parquet")
    assert rows["prediction.price"].to_list() == prices
    assert rows["outcome"].to_list() == [None, 2.5]
    assert rows.select(list(ROW)).row(0, named=True) == ROW


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_servers_killed_under_load_lose_no_answer(package: Path, rounds: int) -> None:
    answered: list[str] = []
    for number in range(rounds):
        with running_server(package, "--journal", URL, "--workers", 2) as server:
            with Clients(f"{server.address}/predict", RECORDS, keep=lambda answer: answer["request_id"]) as clients:
                server.wait_for(lambda: len(clients.answers) > 50 + 11 * (number % 7))  # noqa: B023
                for pid in (*server.workers, server.process.pid) if number % 2 else server.workers[:1]:
                    os.kill(pid, signal.SIGKILL)
            answered += clients.answers
    held = journalled()
    assert len(answered) > 50 * rounds
    assert len(held) == len(set(held))
    assert set(answered) <= set(held)


def test_a_server_whose_journal_is_away_answers_503_or_spills(package: Path) -> None:
    with running_server(package, "--journal", URL, "--workers", 1) as server:
        server.predict(ROW)
        shutil.move("journal", "away")
        answer = httpx.post(f"{server.address}/predict", json=RECORDS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "journal_down")
        assert "retry-after" in answer.headers
        server.wait_for_log("the journal is down")
        shutil.move("away", "journal")
        server.wait_for(lambda: httpx.post(f"{server.address}/predict", json=RECORDS).status_code == 200)
    Path("serve.yaml").write_text(
        f"models: [{{model: {package}}}]\nworkers: 1\n"
        f"journal: {{url: '{URL}', on_failure: spill, drop: [width], hash: [lenght]}}\n"
    )
    with running_server("--config", "serve.yaml") as server:
        server.wait_for_log("journal.hash: 'lenght' is no column that a served model reads, did you mean 'length'?")
        shutil.move("journal", "away")
        answers = [server.predict(ROW)["request_id"] for _ in range(5)]
        shutil.move("away", "journal")
        server.wait_for(lambda: set(answers) <= set(journalled()))
        assert b"length" in next(one.body for part in open_reader(URL).predictions(Selection()) for one in part)
    last = [one for part in open_reader(URL).predictions(Selection()) for one in part][-1]
    assert b'"width"' not in last.body
    assert not list(Path("journal-spill").iterdir())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///no/such/journal.db", "does not exist"),
        ("mysql://host/db", "no address of a journal"),
        ("sqlite:///text.db", "file is not a database; give --journal a file that can be written, or none"),
    ],
)
def test_a_bad_journal_is_refused_at_the_start(
    package: Path, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.db").write_text("no database, and longer than the head that an empty one would lack\n" * 9)
    assert main(["serve", str(package), "--journal", url, "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_worker_that_is_replaced_leaves_no_prediction_uncounted(package: Path) -> None:
    config = f"workers: 1\njournal: {{url: '{URL}'}}\nmodels: [{{model: {package}"
    Path("serve.yaml").write_text(f"{config}}}]\n")
    with running_server("--config", "serve.yaml") as server:
        (worker,) = server.workers
        Path("serve.yaml").write_text(f"{config}, digits: 3}}]\n")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if len(server.workers) == 2:  # the first one is about to drain
                break
            server.predict(ROW)
        server.wait_for(lambda: server.predict(ROW) is not None and server.workers != [worker])
        for _ in range(4):  # those that wait are one
            server.process.send_signal(signal.SIGHUP)
            server.predict(ROW)
        server.wait_for_log("API keys and models were read again")
        server.wait_for(lambda: not is_alive(worker))
        answered = len(journalled())
        line = f'\nlightning_app_journal_predictions_total{{target="journal"}} {answered}.0\n'
        server.wait_for(lambda: line in httpx.get(f"{server.address}/metrics").text, 5.0)
        assert server.errors.count("API keys and models were read again") <= 2
        assert server.stop() == 0
