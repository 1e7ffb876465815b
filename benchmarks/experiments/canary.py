"""Canaries of simulated traffic: how often bad versions are taken back and good ones promoted, and what it costs."""

import statistics
from collections import Counter
from collections.abc import Callable

from benchmarks.experiments.simulated_traffic import Challenger, Outcome, World, simulate
from benchmarks.page import table, verdict
from lightning_app.serving.config.experiment_config import CanaryConfig, RewardConfig

_RUNS = 200
_CONFIG = CanaryConfig(reward=RewardConfig(kind="continuous", low=0, high=20), max_seconds=12 * 3600.0)
_CASES = {
    "reward 5 % worse": Challenger(reward=0.95),
    "latency + 50 %": Challenger(latency=1.5),
    "2 % errors": Challenger(errors=0.02),
    "the same as the champion": Challenger(),
    "reward 3 % better, 10 % faster": Challenger(reward=1.03, latency=0.9),
    "at the margin: reward 3 % worse": Challenger(reward=0.97),
}
_BAD, _GOOD, _UNDECIDED = list(_CASES)[:3], list(_CASES)[3:5], list(_CASES)[5]


def canary_simulated(runs: int = _RUNS) -> str:
    """Bad and good versions in simulated canaries with the code that decides in a server."""
    rows = []
    for name, challenger in _CASES.items():
        tick = 60.0 if name == _UNDECIDED else 10.0
        outcomes = [simulate(_CONFIG, World(), challenger, seed=seed, tick_seconds=tick) for seed in range(runs)]
        ends = Counter(_status(outcome) for outcome in outcomes)
        back = runs - ends["promoted"]
        if name in _BAD:
            aim, reached = ">= 99 % taken back", verdict(back >= 0.99 * runs)
        elif name in _GOOD:
            aim, reached = "<= 5 % taken back", verdict(back <= 0.05 * runs)
        else:
            aim, reached = "", ""
        seen = sorted(outcome.challenger_requests for outcome in outcomes)
        shares = sorted(outcome.challenger_requests / outcome.requests for outcome in outcomes)
        minutes = sorted(outcome.seconds / 60 for outcome in outcomes)
        rows.append(
            f"{name}|{ends['promoted']}|{ends['rolled_back']}|{ends['expired']}|{statistics.median(seen):,.0f}, "
            f"{seen[int(0.95 * runs)]:,}|{statistics.median(shares):.1%}|{statistics.median(minutes):.0f}, "
            f"{minutes[-1]:.0f}|{aim}|{reached}"
        )
    return (
        f"{runs} simulated canaries each, decided every 10 s (the last row: 60 s) by the code of the server: steps 1, 5, 25, 50, 100 % of at "
        "least 5 minutes and 200 requests, alpha 0.05, margins of 10 % for errors and latency and 3 % for the reward, 12 "
        "hours at most. 100 requests/s on average; over the day traffic moves by 30 %, rewards by 20 %, and load moves "
        "all latencies by 12 %. Latencies are log-normal (median 8 ms, deviation 0.4), 5 % of them three times as long "
        "and spread twice as wide; the champion fails 0.1 %; rewards are gamma-distributed with a deviation as large as "
        "their mean, come after a minute, and for 90 % of the requests.\n\n"
        + table(
            "version|promoted|rolled back|expired|requests that it saw: median, 95 %|share of all|minutes: median, most"
            "|aim|",
            *rows,
        )
    )


def _status(outcome: Outcome) -> str:
    end = outcome.look.state.verdict
    assert end is not None
    return end.status


SECTIONS: dict[str, Callable[[], str]] = {"canary_simulated": canary_simulated}
