"""What a trial costs beyond its objective: whole sweeps of two lengths, and Optuna's own ask and tell on a journal.

usage: sweep_cost.py SPACE CONFIG [OPTION ...]     options of each fit
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

SHORT, LONG = 10, 40


def sweep(trials: int, space: str, config: str, options: list[str]) -> tuple[float, float]:
    """Wall seconds of a whole sweep, and CPU seconds of its coordinator alone."""
    from lightning_app.__main__ import main

    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        words = ["sweep", "-c", config, "--space", space, "--trials", str(trials), "--root", root, "--", *options]
        wall, own = time.perf_counter(), time.process_time()
        code = main(words)
        assert code == 0, code
        return time.perf_counter() - wall, time.process_time() - own


def ask_and_tell(trials: int) -> float:
    """Wall seconds of as many trials within one process, on the same kind of storage."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as root:
        storage = JournalStorage(JournalFileBackend(str(Path(root) / "journal.log")))
        study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
        start = time.perf_counter()
        for _ in range(trials):
            trial = study.ask()
            study.tell(trial, trial.suggest_int("seed_everything", 0, 100_000) * 1e-5)
        return time.perf_counter() - start


def main(space: str, config: str, options: list[str]) -> None:
    os.environ["WANDB_MODE"] = "disabled"
    sweep(2, space, config, options)  # imports and first calls
    found = {trials: sweep(trials, space, config, options) for trials in (SHORT, LONG)}
    wall, own = ((found[LONG][index] - found[SHORT][index]) / (LONG - SHORT) for index in range(2))
    plain = ask_and_tell(LONG) / LONG
    print(json.dumps({"wall_s": wall, "added_s": wall - plain, "ask_tell_s": plain, "coordinator_cpu_s": own}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
