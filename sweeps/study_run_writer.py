"""Writes the W&B run of a study: a process of its own, fed with lines of JSON.

W&B takes a second to import and to start, and holds a run's last rows in memory: here it costs the coordinator nothing,
and a run is closed in order also where the coordinator was killed, as its end of the pipe closes then.
"""

import fcntl
import json
import sys
from pathlib import Path
from typing import IO, Any


def write(lines: IO[str]) -> int:
    """Logs what comes in until it ends.

    Args:
        lines: First what the run is (`folder`, and the arguments of `wandb.init` as `init`), then `rows`, at last
            `finish` with `exit_code`, `summary` and `pictures`.

    Returns:
        Exit code: 3 if another process writes this run.
    """
    start = json.loads(lines.readline())
    folder = Path(start["folder"])
    with (folder / "wandb" / "study_run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 3
        _log(start["init"], folder, lines)
    return 0


def _log(init: dict[str, Any], folder: Path, lines: IO[str]) -> None:
    import wandb

    from lightning_app.offline_runs import read_offline_runs

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
            end = message["finish"]
            exit_code = end["exit_code"]
            run.log({f"pictures/{name}": wandb.Image(path) for name, path in end["pictures"].items()})
            run.summary.update(end["summary"])
    run.finish(exit_code=exit_code)


if __name__ == "__main__":
    sys.exit(write(sys.stdin))
