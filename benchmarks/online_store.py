"""Online stores: what materialising and reading cost, on SQLite, Redis and PostgreSQL."""

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.measure import run
from benchmarks.page import table, verdict
from tests.postgres import postgres
from tests.redis_server import redis_server

_RUNS = 3
_AIMS = {"1": 0.05, "100": 0.4, "1000": 4.0}
"""Median of a read from SQLite, in milliseconds."""
_SECONDS = 1.66
"""A tenth of what Feast 0.67 took for the same on its SQLite store, on the machine of the research notes."""


def online_store() -> str:
    """Materialising 50,000 entities x 10 features from 1 M events, and reading them."""
    rows = [_row("last values, SQLite", [run("online_store", "lag").answer for _ in range(_RUNS)], aims=True)]
    rows.append(_row("windows of 1 and 7 days, SQLite", [run("online_store", "window").answer for _ in range(_RUNS)]))
    with redis_server() as (url, _):
        rows.append(_row("last values, Redis", [run("online_store", "lag", url).answer]))
    with postgres() as url:
        rows.append(_row("last values, PostgreSQL", [run("online_store", "lag", url).answer]))
    return (
        "One minute after the last event, random entities, values and reasons as lists; servers on this machine, with "
        f"their defaults. SQLite: medians of {_RUNS} runs; aims in brackets. `again` is a second run over the same "
        "events: it reads and compares all of them and writes nothing.\n\n"
    ) + table("|materialise, s|CPU, s|again, s|1 entity, p50 / p99 ms|100 entities|1,000 entities|MB", *rows)


def _row(name: str, answers: list[dict[str, Any]], *, aims: bool = False) -> str:
    def median(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(value(answer) for answer in answers)

    wall = median(lambda answer: answer["wall"])
    cells = [f"{wall:.2f}" + (f" (<= {_SECONDS}: {verdict(wall <= _SECONDS)})" if aims else "")]
    cells += [f"{median(lambda answer: answer['cpu']):.2f}", f"{median(lambda answer: answer['again']):.2f}"]
    for entities, aim in _AIMS.items():
        middle, high = (median(lambda answer, i=i, n=entities: answer["reads"][n][i]) for i in (0, 1))  # type: ignore[misc]
        cells.append(f"{middle:.3f} / {high:.2f}" + (f" (<= {aim}: {verdict(middle <= aim)})" if aims else ""))
    size = answers[0]["megabytes"]
    return "|".join([name, *cells, f"{size:.1f}" if size else "-"])


SECTIONS: dict[str, Callable[[], str]] = {"online_store": online_store}
