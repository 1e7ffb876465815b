"""A process that makes a study together with others, and claims all its trials: prints what it got."""

import json
import sys
from pathlib import Path

import optuna

from sweeps.execution.leases import Leases
from sweeps.storage.study_storage import open_storage


def main(url: str, name: str, trials: int) -> None:
    """Says `ready`, waits for a line, and claims trials as fast as it can: new ones, or those that were left."""
    print("ready", flush=True)
    sys.stdin.readline()
    study = optuna.create_study(storage=open_storage(url, Path()), study_name=name, load_if_exists=True)
    leases = Leases(study, seconds=60)
    got = []
    if trials:
        while len(study.get_trials(deepcopy=False)) < trials:
            study.ask()
        got = [number for number in range(trials) if leases.take(number)]
    else:
        while (number := leases.adopt()) is not None:
            got.append(number)
    print(json.dumps(got), flush=True)
    sys.stdin.readline()  # alive until all are done: what a dead one has is free


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
