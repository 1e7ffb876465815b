"""SIGKILL before and after each thing that ticks do, and ticks at once: cycles end once, and nothing is done twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CONFIGS
from tests.lightning_app.serving.journal.records import empty_database
from tests.postgres import needs_postgres
from tests.registries import place_registry
from tests.retraining_kills import ENDS


def found(folder: Path, config: pytest.Config, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    """What `tests.retraining_kills` finds."""
    place_registry(folder, config)
    done = subprocess.run(
        [sys.executable, "-m", "tests.retraining_kills", str(folder), json.dumps(orders)],
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
        capture_output=True,
        text=True,
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(outcome: dict[str, Any]) -> None:
    end = ENDS[outcome["scenario"]]
    assert (outcome["cycles"], outcome["live"], outcome["ends"]) == ([end], 0, 1), outcome
    assert (outcome["repeated"], outcome["orphans"]) == ([], []), outcome
    assert outcome["aliases"] == ({"champion": 2, "previous": 1} if end == "promoted" else {"champion": 1}), outcome


@pytest.mark.slow
def test_a_few_kills_and_ticks_at_once(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    killed, at_once = found(
        tmp_path,
        request.config,
        {"scenario": "rolled_back", "every": 7},
        {"scenario": "direct", "every": 0, "at_once": 3},
    )
    check(killed)
    check(at_once)
    assert killed["kills"] >= 4
    assert at_once["kills"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_kills_at_every_moment_of_every_kind_of_cycle(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    outcomes = found(tmp_path, request.config, *({"scenario": scenario} for scenario in ENDS))
    for outcome in outcomes:
        check(outcome)
    assert sum(outcome["kills"] for outcome in outcomes) >= 60


@pytest.mark.slow
@pytest.mark.timeout(1500)
@needs_postgres
def test_kills_with_a_journal_in_postgres(tmp_path: Path, request: pytest.FixtureRequest, postgres_server: str) -> None:
    (outcome,) = found(tmp_path, request.config, {"scenario": "direct", "journal": empty_database(postgres_server)})
    check(outcome)
    assert outcome["kills"] >= 25
