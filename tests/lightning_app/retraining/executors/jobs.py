"""Jobs and a queue of scripts for tests of executors."""

import time
from pathlib import Path

from lightning_app.retraining.executors import Executor, Handle, Job, Running, Status
from lightning_app.retraining.executors.executor import JOB

QUEUE = """#!/bin/sh
# A queue in a folder: `queue submit NAME WORDS...`, `queue list NAME`, `queue stop NAME`.
cd "$(dirname "$0")" || exit 1
[ ! -e down ] || { echo "the controller is away" >&2; exit 3; }
echo "$1 $2" >> calls
case $1 in
submit)
    name=$2; shift 2
    mkdir "$name.job" || { echo "AlreadyExists: $name" >&2; exit 1; }
    cat > "$name.job/input"
    setsid "$@" > "$name.job/log" 2>&1 < /dev/null &
    echo $! > "$name.job/pid" ;;
list) [ ! -e "$2.job/pid" ] || ! kill -0 "$(cat "$2.job/pid")" 2> /dev/null || echo RUNNING ;;
stop) [ ! -e "$2.job/pid" ] || kill -9 "-$(cat "$2.job/pid")" 2> /dev/null || true ;;
esac
"""
TRAIN = """#!/bin/sh
# A training: touches what it should, then leaves a result as a whole.
echo "epoch 1"
touch "$1/alive"
sleep "$2"
[ "$3" != fail ] || { echo "out of memory"; exit 1; }
echo '{"package": "'$1'/package", "digest": "d", "run": "r", "start": "scratch", "device_minutes": 0.5}' > "$1/new"
mv "$1/new" "$1/result.json"
"""


def queue(folder: Path) -> Path:
    """The queue as a program."""
    return _program(folder / "queue", QUEUE)


def training(folder: Path) -> Path:
    """The training as a program: `train FOLDER SECONDS [fail]`."""
    return _program(folder / "train", TRAIN)


def job(folder: Path, attempt: int = 1) -> Job:
    """An attempt of a cycle."""
    place = folder / "job" / str(attempt)
    place.mkdir(parents=True, exist_ok=True)
    (place / JOB).write_text("{}")
    return Job(cycle_id="0123456789abcdef", attempt=attempt, folder=place)


def ended(executor: Executor, what: Job, handle: Handle, *, seconds: float = 20.0) -> Status:
    """Status of a job once it no longer runs."""
    end = time.monotonic() + seconds
    while isinstance(status := executor.poll(what, handle), Running):
        assert time.monotonic() < end, status
        time.sleep(0.02)
    return status


def _program(file: Path, text: str) -> Path:
    if not file.exists():  # a file that is written just when a process executes it is "busy"
        file.write_text(text)
        file.chmod(0o755)
    return file
