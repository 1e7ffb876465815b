"""A sweep whose processes are killed at random, beside the same one in peace.

Kills with SIGKILL, one at a time: a trial's process, the fork server, or the coordinator, at moments that are spread
over the study. A command that ends thereby is started again with `--resume`.

usage: sweep_kills.py CONFIG SPACE [--trials 60] [--kills 20] [--workers 2] [--seed 0] [-- OPTION OF EACH FIT ...]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.storage.study_storage import open_storage

VICTIMS = ("trial", "fork server", "coordinator")
STUDY = "kills"


def main(words: list[str]) -> None:
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("space")
    for name, default in (("trials", 60), ("kills", 20), ("workers", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args(words[:at])
    command = [sys.executable, "-m", "lightning_app", "sweep", "-c", given.config, "--space", given.space]
    command += ["--trials", str(given.trials), "--workers", str(given.workers), "--study", STUDY, "--lease", "10"]
    with tempfile.TemporaryDirectory() as peace, tempfile.TemporaryDirectory() as war:
        quiet = sweep(
            [*command, "--root", peace], words[at:], Path(peace), trials=given.trials, kills=0, seed=given.seed
        )
        killed = sweep(
            [*command, "--root", war], words[at:], Path(war), trials=given.trials, kills=given.kills, seed=given.seed
        )
    print(json.dumps({"in peace": quiet, "with kills": killed, "same best": quiet["best"] == killed["best"]}))


def sweep(command: list[str], fit: list[str], root: Path, *, trials: int, kills: int, seed: int) -> dict[str, object]:
    """Runs the command until it has done its work, and kills what it is made of meanwhile."""
    dice = random.Random(seed)
    moments = sorted(dice.sample(range(trials - 2), kills))  # trials that have ended by then
    died: Counter[str] = Counter()
    starts, started = 0, time.monotonic()
    while True:
        resume = ["--resume"] if starts else []
        with (root / "log").open("ab") as log:
            process = subprocess.Popen([*command, *resume, *fit], stdout=log, stderr=log, start_new_session=True)
        starts += 1
        while process.poll() is None:
            if died.total() < kills and ended(root) >= moments[died.total()]:
                time.sleep(dice.uniform(0.0, 2.0))
                if victim := strike(process.pid, dice):
                    died[victim] += 1
                    print(f"{time.monotonic() - started:.0f} s: killed {victim}", file=sys.stderr)
            time.sleep(0.3)
        if process.returncode == 0:
            break
        if starts > kills + 5:
            raise RuntimeError((root / "log").read_text()[-2000:])
    study = optuna.load_study(study_name=STUDY, storage=open_storage(None, root / "sweeps" / STUDY))
    return summary(study.trials) | {
        "kills": dict(died),
        "starts of the command": starts,
        "seconds": round(time.monotonic() - started),
    }


def ended(root: Path) -> int:
    """How many trials have ended."""
    journal = root / "sweeps" / STUDY / "journal.log"
    if not journal.exists():
        return 0
    storage = open_storage(None, journal.parent)
    if STUDY not in {study.study_name for study in storage.get_all_studies()}:
        return 0
    study = optuna.load_study(study_name=STUDY, storage=storage)
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def strike(coordinator: int, dice: random.Random) -> str | None:
    """Kills one of the processes of a command that has trials running; None if it has none."""
    servers = children(coordinator)
    trials = [trial for server in servers for trial in children(server)]
    if not trials:
        return None
    victim = dice.choice(VICTIMS)
    process = {"trial": dice.choice(trials), "fork server": servers[0], "coordinator": coordinator}[victim]
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return victim


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    try:
        return [
            int(word) for task in Path(f"/proc/{process}/task").glob("*/children") for word in task.read_text().split()
        ]
    except OSError:
        return []


def summary(trials: list[FrozenTrial]) -> dict[str, object]:
    """What became of the trials."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(done, key=lambda trial: (trial.value, -trial.number))
    drawn = {json.dumps(trial.params, sort_keys=True) for trial in trials}
    return {
        "states": dict(Counter(trial.state.name for trial in trials)),
        "failures": {trial.number: trial.user_attrs for trial in trials if trial.state == TrialState.FAIL},
        "repeated parameters": len(trials) - len(drawn),
        "best": [best.number, best.value, best.params],
        "values": [trial.value for trial in trials],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
