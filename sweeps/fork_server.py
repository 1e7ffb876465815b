"""A process that has everything imported and the parser built, and forks a process of its own for each trial.

The coordinator writes a line of JSON for each trial to start or to signal, and reads a line for each that has started
or ended.
"""

import fcntl
import io
import json
import os
import select
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_app.errors import UsageError


def serve(space: str, fit: list[str]) -> None:
    """Serves until standard input is closed; trials that still run are then asked to save and stop.

    Args:
        space: The sweep's file, which is tried on the schema of the config.
        fit: Words of every fit after its verb.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints goes to the log, answers go to the coordinator
    try:
        base, kept = _prepare(space, fit)
    except UsageError as error:
        _say(answers, refused=str(error))
        return
    wakeup_read, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to all processes; the coordinator decides
    running: dict[int, int] = {}  # process to trial
    imported = Path(tempfile.mkdtemp(prefix="sweep-"))
    _say(answers, base=base, kept=kept)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wakeup_read], [], [])
        if wakeup_read in ready:
            os.read(wakeup_read, 4096)
            _reap(running, answers, imported)
        if 0 in ready:
            read = os.read(0, 1 << 16)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                _obey(json.loads(line), running, answers, imported)
    for process in running:
        _signal(process, signal.SIGTERM)
    while running:
        process, _ = os.wait()
        running.pop(process, None)
    shutil.rmtree(imported, ignore_errors=True)


def _prepare(space: str, fit: list[str]) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Imports what trials need, builds their parser, and reads the config, which the next time is faster."""
    import torch

    from lightning_app.tracking import wandb_mode
    from sweeps import trial  # noqa: F401
    from sweeps.kept_checkpoint import kept_by
    from sweeps.sweep_file import SweepFile
    from sweeps.trial_config import ConfigReader, check_space

    torch.save({}, io.BytesIO())  # imports what the first checkpoint of a process needs
    reader = ConfigReader(fit)
    check_space(SweepFile.read(space).space, reader)
    if wandb_mode(reader.config.fit.run) != "disabled":
        import wandb

        # Runs of all trials share one process of W&B, whose start takes longer than a short trial.
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            os.environ.setdefault("WANDB_CACHE_DIR", folder)
            wandb.setup()
            if os.environ["WANDB_CACHE_DIR"] == folder:
                del os.environ["WANDB_CACHE_DIR"]
    base = reader.resolve({})
    return base, kept_by(base)


def _obey(order: dict[str, Any], running: dict[int, int], answers: Any, imported: Path) -> None:
    if "signal" in order:
        for process, trial in running.items():
            if trial == order["trial"]:
                _signal(process, order["signal"])
        return
    process = os.fork()
    if process == 0:
        answers.close()
        _become_trial(order, imported)
    running[process] = order["trial"]
    _say(answers, trial=order["trial"], process=process)


def _become_trial(order: dict[str, Any], imported: Path) -> None:
    """Runs one command line and ends the process, which leaves word of what it had to import."""
    known = set(sys.modules)
    os.setsid()  # signals to the trial reach its ranks and workers too
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    _wait_for_others(order["log"])
    os.environ.update(order["environment"])
    code = 1
    try:
        import torch

        from sweeps.trial import main

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        # Lightning starts the other ranks of a trial by the command of this process.
        sys.modules["__main__"].__spec__ = find_spec("lightning_app.start")
        sys.argv = ["lightning-app", "sweeps.trial", *order["args"]]
        code = main(order["args"])
        (imported / str(os.getpid())).write_text("\n".join(set(sys.modules) - known))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait_for_others(log: str) -> None:
    """Until no process of this trial is left that an earlier coordinator started: two may not write to one folder.

    The lock is gone with the last process that has it, whatever ended that one; programs that a trial starts have not.
    """
    own = os.open(log, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(own, fcntl.LOCK_EX)


def _reap(running: dict[int, int], answers: Any, imported: Path) -> None:
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        _import_too(imported / str(process))
        trial = running.pop(process, None)
        if trial is not None:
            _signal(process, signal.SIGKILL)  # ranks and workers that outlived it
            _say(answers, trial=trial, code=os.waitstatus_to_exitcode(status))


def _import_too(names: Path) -> None:
    """Imports what a trial imported on its way, so that the next ones need not."""
    if names.exists():
        for name in names.read_text().split():
            if name not in sys.modules:
                with suppress(Exception):  # some modules are made while their package runs
                    import_module(name)
        names.unlink()


def _signal(process: int, number: int) -> None:
    """Kills all processes of a trial, or tells its first one, which ends the others in order.

    Loader workers that are told too would die before the checkpoint is saved, and fail the fit.
    """
    try:
        (os.killpg if number == signal.SIGKILL else os.kill)(process, number)
    except ProcessLookupError:
        return


def _say(answers: Any, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    serve(sys.argv[1], sys.argv[2:])
