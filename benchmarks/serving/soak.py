"""Soak: a server for twenty minutes with kills, reloads, restarts and a bad canary; its journal has to add up."""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.soak_clients import Seen, SoakClients
from lightning_app.registry import Registry
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.stores import open_database, open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.supervisor.running_server import RunningServer
from tests.packages import small_package

URL = "sqlite:///journal.db"
NAME = "price"
LIKED = {1: 0.5, 2: 0.5, 3: 0.4}
"""Probability that an answer is liked, by version: the third is the bad canary."""
_SEED = 0
_GATES = dict.fromkeys(("champion", "parity", "latency", "size", "card", "slices", "data"))


def _liked(version: int | None) -> float:
    return LIKED.get(version or 1, 0.5)  # the fallback is a folder without a version


class Soak:
    """One run in the working folder.

    Args:
        seconds: How long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.events: Counter[str] = Counter()
        self._chance = random.Random(_SEED)
        self._registry = Registry(f"sqlite:///{Path('mlflow.db').absolute()}")
        self.server: RunningServer | None = None

    def run(self) -> SoakClients:
        """Runs it; what the clients saw."""
        self._prepare()
        self._start()
        end = time.monotonic() + self.seconds
        schedule = self._schedule()
        at, what = next(schedule)
        with SoakClients(lambda: self._server.address, like=_liked) as clients:
            begin = time.monotonic()
            while time.monotonic() < end:
                if time.monotonic() - begin >= at * self.seconds:
                    getattr(self, what)()
                    self.events[what.strip("_")] += 1
                    at, what = next(schedule)
                time.sleep(0.2)
            self._server.wait_for(lambda: len(self._server.workers) >= 2)
        assert self._server.stop() == 0
        return clients

    @property
    def _server(self) -> RunningServer:
        assert self.server is not None
        return self.server

    def _schedule(self) -> Iterator[tuple[float, str]]:
        """What happens at which share of the time: something every fortieth, and the canaries in between."""
        fixed = {3: "_challenge", 10: "_restart", 20: "_challenge", 25: "_restart_hard"}
        for place in range(1, 38):
            yield place / 40, fixed.get(place) or self._chance.choice(("_kill_worker", "_reload", "_kill_decider"))
        yield 2.0, "_reload"

    def _prepare(self) -> None:
        Path("gates.yaml").write_text(yaml.safe_dump(_GATES))
        for seed in LIKED:
            self._registry.register(small_package(Path(f"package-{seed}"), seed=seed), NAME)
        self._registry.promote(f"{NAME}@1", to="champion", force="soak")
        step = self.seconds / 60
        canary = {
            "steps": [0.1, 0.25, 0.5, 1.0], "min_requests": 200, "min_seconds": step, "max_seconds": 24 * step,
            "margins": {"errors": 0.5, "latency": 0.5, "reward": 0.1}, "gates": "gates.yaml",
            "reward": {"kind": "binary", "within_seconds": 3600},
        }  # fmt: skip
        model = {"model": f"{NAME}@champion", "canary": canary, "breaker": {}, "fallback": [{"model": "package-1"}]}
        model["shadow"] = {"model": "package-3", "sample": 0.1}
        config = {"models": [model], "workers": 2, "poll_seconds": 1, "journal": {"url": URL}}
        Path("server.yaml").write_text(yaml.safe_dump(config))

    def _start(self) -> None:
        address = {} if self.server is None else {"port": self.server.address.rpartition(":")[2]}
        words = ("--config", "server.yaml", "--port", address.get("port", "0"))
        self.server = RunningServer(words, Path(), {"MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').absolute()}"})

    def _challenge(self) -> None:
        number = 2 if self.events["challenge"] == 0 else 3
        self._registry.promote(f"{NAME}@{number}", to="challenger", force="soak")

    def _kill_worker(self) -> None:
        os.kill(self._chance.choice(self._server.workers), signal.SIGKILL)

    def _kill_decider(self) -> None:
        children = Path(f"/proc/{self._server.process.pid}/task/{self._server.process.pid}/children").read_text()
        for pid in map(int, children.split()):
            if b"experiments.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    def _reload(self) -> None:
        self._server.process.send_signal(signal.SIGHUP)

    def _restart(self) -> None:
        assert self._server.stop() == 0
        self._start()

    def _restart_hard(self) -> None:
        workers = self._server.workers
        self._server.stop(signal.SIGKILL)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self._start()


def accounts(clients: SoakClients) -> list[tuple[str, int]]:
    """What does not add up between the journal and the clients; all counts have to be 0."""
    reader = open_reader(URL)
    rows = {}
    twice = 0
    for part in reader.predictions(Selection()):
        for row in part:
            twice += row.request_id in rows
            rows[row.request_id] = row
    seen = {one.request_id: one for one in clients.seen}
    missing = sum(request_id not in rows for request_id in seen)
    other = sum(not _agrees(one, rows[one.request_id]) for one in seen.values() if one.request_id in rows)
    asked = set(seen) | set(clients.unanswered)
    unknown = sum(request_id not in asked for request_id in rows)
    outcomes = reader.outcomes(list(clients.rewards))
    lost = sum(
        [outcome.reward for outcome in outcomes.get(request_id, ())] != [reward]
        for request_id, reward in clients.rewards.items()
    )
    reader.close()
    return [
        ("answers that clients saw and the journal lacks", missing),
        ("journalled twice", twice),
        ("journalled with another version, arm or answer than the client saw", other),
        ("journalled without a client that asked", unknown),
        ("rewards that were acknowledged and are not in the journal, or otherwise", lost),
        ("requests without an answer", len(clients.unanswered)),
        ("requests refused", len(clients.refused)),
    ]


def _agrees(seen: Seen, row: object) -> bool:
    from msgspec import json

    said = json.decode(row.answer)  # type: ignore[attr-defined]
    told = (seen.version, seen.arm, seen.degraded, seen.price)
    return told == (row.version, row.arm, row.degraded, said["predictions"][0]["price"])  # type: ignore[attr-defined]


def canaries() -> list[Experiment]:
    """Canaries of the run, the first one first."""
    database = open_database(URL)
    try:
        return sorted(ExperimentStore(database).list(), key=lambda row: row.created)
    finally:
        database.close()


def serving_soak(effort: Effort = FULL) -> str:
    """Twenty minutes with kills, reloads, restarts and a bad canary."""
    return report(effort.soak_seconds)[0]


def report(seconds: float) -> tuple[str, bool]:
    """Runs a soak: its page, and whether everything added up."""
    with _folder():
        soak = Soak(seconds)
        try:
            clients = soak.run()
        finally:
            if soak.server is not None and soak.server.process.poll() is None:
                soak.server.process.kill()
        found = accounts(clients)
        ended = {row.state["version"]: row.status for row in canaries()}
        bad = sum(one.version == 3 for one in clients.seen)
        is_good = ended == {2: "promoted", 3: "rolled_back"} and not any(count for _, count in found)
    happened = ", ".join(f"{count} x {what.replace('_', ' ')}" for what, count in sorted(soak.events.items()))
    assert clients.seen, clients.refused[:3]
    slowest = max(one.seconds for one in clients.seen)
    page = (
        f"{seconds / 60:g} minutes, two workers, breaker with fallback, shadow of 10 %, canary on; seed {_SEED}. "
        f"{len(clients.seen):,} answers seen by the clients, {len(clients.rewards):,} rewards given; {happened}; "
        f"{clients.breaks} connections broke, the request was sent again under its id; the slowest answer took "
        f"{slowest:.1f} s, a restart of the server included.\n\n"
        + table("|aim|counted|", *(f"{what}|0|{count:,}|{verdict(count == 0)}" for what, count in found))
        + "\n\n"
        + table(
            "canary|aim|ended as|",
            f"version 2, as good as the champion|promoted|{ended.get(2)}|{verdict(ended.get(2) == 'promoted')}",
            f"version 3, liked in 40 % instead of 50 %|rolled_back|{ended.get(3)}|{verdict(ended.get(3) == 'rolled_back')}",
        )
        + f"\n\nThe bad version answered {bad:,} requests, {100 * bad / len(clients.seen):.1f} % of all."
    )
    return page, is_good


@contextmanager
def _folder() -> Iterator[None]:
    """A working folder of its own, with a cache and a registry."""
    from lightning_app.registry.storage.database import create_database

    before, cache = Path.cwd(), os.environ.get("LIGHTNING_APP_CACHE")
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        os.environ["LIGHTNING_APP_CACHE"] = str(Path(place) / "cache")
        try:
            create_database(Path("mlflow.db"))
            yield
        finally:
            os.chdir(before)
            if cache is None:
                del os.environ["LIGHTNING_APP_CACHE"]
            else:
                os.environ["LIGHTNING_APP_CACHE"] = cache
