"""Clients of a soak: ask at a steady rate, try again under the same id, give rewards, and write down what they saw."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tests.packages import COLUMNS

TRIES_SECONDS = 60.0
"""A request is tried again for so long; a server that is restarted is back by then."""


@dataclass(frozen=True)
class Seen:
    """An answer as a client saw it.

    Attributes:
        request_id: Its id, chosen by the client.
        arm: Arm that was chosen.
        version: Version that answered.
        price: What it answered.
        degraded: Why another answered.
        seconds: Until the answer, all tries included.
    """

    request_id: str
    arm: str
    version: int | None
    price: float
    degraded: str | None
    seconds: float


class SoakClients:
    """Threads that ask one server.

    Args:
        address: Says where it is at the moment.
        like: Probability that an answer of a version is liked.
        num_clients: Threads.
        rate: Requests per second of all together.

    Attributes:
        seen: Answers.
        unanswered: Ids of requests that got none, in spite of all tries.
        refused: Status and text of answers other than 200.
        rewards: Reward by request id, once the server had said that it is stored.
        unsure: Ids of requests whose reward may be stored or not: the connection broke.
        breaks: Connections that broke.
    """

    def __init__(
        self,
        address: Callable[[], str],
        *,
        like: Callable[[int | None], float],
        num_clients: int = 4,
        rate: float = 150.0,
    ) -> None:
        self._address, self._like, self._pause = address, like, num_clients / rate
        self.seen: list[Seen] = []
        self.unanswered: list[str] = []
        self.refused: list[str] = []
        self.rewards: dict[str, float] = {}
        self.unsure: set[str] = set()
        self.breaks = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(num_clients)]

    def __enter__(self) -> "SoakClients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(timeout=10.0) as client:
            due = time.monotonic()
            while not self._end.is_set():
                self._ask(client, chance)
                due = max(due + self._pause, time.monotonic() - 1.0)
                time.sleep(max(0.0, due - time.monotonic()))

    def _ask(self, client: httpx.Client, chance: random.Random) -> None:
        request_id, started = str(uuid.uuid4()), time.monotonic()
        row = {name: round(chance.random(), 3) for name in COLUMNS}
        body = {"records": [row]}
        answer = self._sent(client, "/predict", body, {"X-Request-Id": request_id}, started)
        if answer is None:
            self.unanswered.append(request_id)
            return
        if answer.status_code != 200:
            self.refused.append(f"{answer.status_code} {answer.text[:200]}")
            return
        said = answer.json()
        self.seen.append(
            Seen(
                request_id=request_id,
                arm=answer.headers["x-arm"],
                version=said["version"],
                price=said["predictions"][0]["price"],
                degraded=answer.headers.get("x-degraded"),
                seconds=time.monotonic() - started,
            )
        )
        reward = float(chance.random() < self._like(said["version"]))
        stored = self._sent(client, "/feedback", {"request_id": request_id, "reward": reward}, {}, time.monotonic())
        if stored is not None and stored.status_code == 200:
            self.rewards[request_id] = reward
        else:
            self.unsure.add(request_id)

    def _sent(
        self, client: httpx.Client, path: str, body: object, headers: dict[str, str], started: float
    ) -> httpx.Response | None:
        """The answer; None if there was none for a minute."""
        while time.monotonic() - started < TRIES_SECONDS:
            try:
                answer = client.post(self._address() + path, json=body, headers=headers)
            except httpx.TransportError:
                self.breaks += 1
                time.sleep(0.05)
                continue
            if answer.status_code not in (503, 504):
                return answer
            time.sleep(float(answer.headers.get("retry-after", "0.1")))
        return None
