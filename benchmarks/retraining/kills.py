"""Kills of retraining: ticks that end by SIGKILL at each moment of whole cycles, trainings that do, and ticks at once."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.page import table, verdict

_TITLES = {
    "direct": "promoted at once",
    "canary": "shadow, canary, promoted",
    "rolled_back": "canary, rolled back",
    "expired": "canary, expired",
    "worse": "rejected by the comparison",
    "rejected": "rejected by a person",
}
_ENDS = {
    "direct": "promoted", "canary": "promoted", "rolled_back": "rolled_back", "expired": "expired", "worse": "rejected",
    "rejected": "rejected",
}  # fmt: skip
_TRAINING = "tests/lightning_app/retraining/steps/test_training.py"


def retraining_kills(at_once: int = 4) -> str:
    """SIGKILL before and after each thing that ticks do, over whole cycles; two and more ticks at once."""
    from lightning_app.registry.storage.database import create_database

    orders: list[dict[str, Any]] = [{"scenario": scenario} for scenario in _TITLES]
    orders += [{"scenario": scenario, "every": 0, "at_once": at_once} for scenario in ("direct", "canary")]
    with tempfile.TemporaryDirectory() as folder:
        create_database(Path(folder) / "mlflow.db")
        command = [sys.executable, "-m", "tests.retraining_kills", folder, json.dumps(orders)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    kills = sum(one["kills"] for one in found)
    good = all(_is_good(one) for one in found)
    trainings = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", _TRAINING, "-k", "killed or late or rejecting"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = [
        f"{_TITLES[one['scenario']]}{f', {at_once} ticks at once' if one.get('at_once') else ''}|{one['kills']}|"
        f"{one['ticks']}|{', '.join(one['cycles'])}|{one['ends']}|{len(one['repeated'])}|{len(one['orphans'])}"
        for one in found
    ]
    said = trainings.stdout.strip().splitlines()[-1].split(" in ")[0]
    return (
        "A tick dies at the first moment at which none has died yet: before and after each change of the cycle, the "
        "freezing, the start of the training, the registration, evaluations, gates and changes of aliases; then the next "
        "one begins. Champion, candidate, registry, gates and comparison are real; the training of these ticks is the "
        "package of a run of before. Trainings that are killed, late, or stopped are real fits: "
        f"{said}.\n\n"
        + table("cycle|kills|ticks|ended as|ends|repeated changes of aliases|orphan versions", *rows)
        + f"\n\n{kills} kills, aim 60: {verdict(kills >= 60)}. Every cycle ended once, nothing promoted twice, no orphan "
        f"version: {verdict(good and trainings.returncode == 0)}."
    )


def _is_good(one: dict[str, Any]) -> bool:
    ended = (one["cycles"], one["live"], one["ends"]) == ([_ENDS[one["scenario"]]], 0, 1)
    return ended and not one["repeated"] and not one["orphans"]


SECTIONS: dict[str, Callable[[], str]] = {"retraining_kills": retraining_kills}
