"""Writer of the W&B run of a study: a separate process that reads lines of JSON.

W&B takes a second to import and to start, and holds a run's last rows in memory: here it costs the coordinator nothing,
and a run is closed in order also where the coordinator was killed, as its end of the pipe closes then.
"""

import fcntl
import json
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO, Any

ANOTHER_WRITES = 3
_ENDING = "ending"


def write(lines: IO[str]) -> int:
    """Logs what comes in until it ends; while another process writes this run, it waits for its turn.

    Args:
        lines: First what the run is (`folder`, and the arguments of `wandb.init` as `init`), then `rows`, at last
            `finish` with `exit_code`, `summary` and `pictures`.

    Returns:
        Exit code: `ANOTHER_WRITES` if another process had the run to the end.
    """
    start = json.loads(lines.readline())
    folder = Path(start["folder"])
    with (folder / "wandb" / "study_run.lock").open("a+") as lock:
        kept: list[str] = []
        while not _has(lock):
            line = lines.readline()
            kept.append(line)
            if not line or "finish" in json.loads(line):
                if not line or not _is_ending(lock):
                    return ANOTHER_WRITES
                fcntl.flock(lock, fcntl.LOCK_EX)  # it may have ended before it saw the last rows
                break
        lock.truncate(0)
        _log(start["init"], folder, chain(kept, lines), lock)
    return 0


def _has(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ending(lock: IO[str]) -> bool:
    """Whether the process that has the lock is about to leave it."""
    lock.seek(0)
    return lock.read() == _ENDING


def _log(init: dict[str, Any], folder: Path, lines: Iterable[str], lock: IO[str]) -> None:
    import wandb

    from lightning_app.runs.offline_runs import read_offline_runs

    earlier = [run for run in read_offline_runs(folder / "wandb") if run.id == init["id"]]
    logged = {row["trial"] for run in earlier for row in run.history if "trial" in row}
    online = init["mode"] == "online"
    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(**init, dir=str(folder), resume="allow" if online else None, settings=quiet)
    run.define_metric("*", step_metric="ended")
    known = run.summary.get("ended") or 0  # rows that W&B's server has, where there is one
    exit_code, ended = 1, 0
    for line in lines:
        message = json.loads(line)
        for row in message.get("rows", ()):
            ended += 1
            if row["trial"] not in logged and ended > known:
                run.log({"ended": ended, **row})
        if "finish" in message:
            lock.write(_ENDING)
            lock.flush()
            end = message["finish"]
            exit_code = end["exit_code"]
            run.log({f"pictures/{name}": wandb.Image(path) for name, path in end["pictures"].items()})
            run.summary.update(end["summary"])
    run.finish(exit_code=exit_code)


if __name__ == "__main__":
    sys.exit(write(sys.stdin))
