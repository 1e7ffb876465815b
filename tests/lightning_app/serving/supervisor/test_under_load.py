"""Reloads and kills while requests are answered: no answer is lost, wrong, or journalled twice."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.supervisor.conftest import Versions
from tests.lightning_app.serving.supervisor.running_server import RECORDS, Clients, RunningServer, running_server

URL = "sqlite:///journal.db"
OPTIONS = ("--journal", "none", "--poll-seconds", "0.2", "--workers", "2")
LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]
# The benchmarks say how often.
NUM_RELOADS = int(os.environ.get("LIGHTNING_APP_RELOADS", "3"))
NUM_KILLS = int(os.environ.get("LIGHTNING_APP_KILLS", "2"))


def facts(answer: Any) -> tuple[int, str, float]:
    return answer["version"], answer["digest"], answer["predictions"][0]["price"]


def wait_for_reloads(server: RunningServer, number: int) -> None:
    """Waits until all workers have loaded a new version so many times."""
    server.wait_for(lambda: server.errors.count(" is served, it was phase@") == number)


@pytest.mark.parametrize("num_reloads", [NUM_RELOADS, pytest.param(100, marks=LONG)])
def test_reloads_under_load_lose_no_answer_and_every_answer_names_its_version(
    num_reloads: int, versions: Versions
) -> None:
    with running_server("phase@champion", *OPTIONS) as server:
        assert f"; phase@1 {versions.digests[1][:12]}; 2 workers" in server.announcement
        with Clients(f"{server.address}/predict", RECORDS, keep=facts) as clients:
            server.wait_for(lambda: bool(clients.answers))
            for reload in range(num_reloads):
                versions.move(2 - reload % 2)
                wait_for_reloads(server, reload + 1)
        assert clients.errors == []
        assert len(clients.answers) > 10 * num_reloads
        assert {version for version, _, _ in clients.answers} == {1, 2}
        for version, digest, price in set(clients.answers):
            assert digest == versions.digests[version]
            assert price == pytest.approx(versions.prices[version], rel=1e-5)
        assert server.stop() == 0


@pytest.mark.parametrize("num_kills", [NUM_KILLS, pytest.param(50, marks=LONG)])
def test_kills_under_load_leave_every_answered_request_in_the_journal_once(num_kills: int, package: Path) -> None:
    chance = random.Random(0)
    with running_server(package, "--journal", URL, "--workers", "2") as server:
        with Clients(f"{server.address}/predict", RECORDS, keep=lambda answer: answer["request_id"]) as clients:
            for kill in range(num_kills):
                before = len(clients.answers)
                server.wait_for(lambda: len(clients.answers) > before + 100)  # noqa: B023
                os.kill(chance.choice(server.workers), signal.SIGKILL)
                server.wait_for(lambda: server.errors.count("was killed by SIGKILL") == kill + 1)  # noqa: B023
                server.wait_for(lambda: len(server.workers) == 2)
        assert server.stop() == 0
    journalled = [one.request_id for part in open_reader(URL).predictions(Selection()) for one in part]
    assert len(journalled) == len(set(journalled))
    assert len(clients.answers) == len(set(clients.answers)) > 100 * num_kills
    assert set(clients.answers) <= set(journalled)
    # What a client sent again after a kill was answered then; only the last of each thread may have stayed without one.
    assert len(set(journalled) - set(clients.answers)) <= 4
    assert all("Error" in error for error in clients.errors), clients.errors  # no status but 200
