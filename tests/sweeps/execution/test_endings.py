"""What is left of a sweep whose trials hang, when it is interrupted or killed; and how long their logs get."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.programs.sweep_kills import children
from sweeps.trials.trial_log import TrialLog
from tests.sweeps.execution.test_hosts import started, wait_for
from tests.sweeps.execution.test_hosts import sweep as sweep  # the fixture


def descendants(process: int) -> list[int]:
    return [below for child in children(process) for below in (child, *descendants(child))]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("end", ["Ctrl-C", "SIGKILL", "SIGKILL of all but trials"])
def test_no_process_outlives_a_sweep_whose_trials_hang(
    end: str, sweep: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "sweeps" / "shared"
    options = ("--trials", "2", "--workers", "2", "--lease", "4", "--root", str(tmp_path / "runs"))
    args = [*sweep(*options, epochs=500), "--data.num_workers", "1"]
    with started(args, tmp_path / "log") as command:
        wait_for(lambda: len(list(folder.glob("trials/*/*/checkpoints/last.ckpt"))) == 2)
        (server,) = children(command.pid)
        everybody = [server, *descendants(server)]
        trials = children(server)
        assert len(everybody) >= 5  # two trials, each with a loader worker
        for trial in trials:
            os.kill(trial, signal.SIGSTOP)
        began = time.monotonic()
        if end == "Ctrl-C":
            command.send_signal(signal.SIGINT)
            assert command.wait(timeout=60) == 130, (tmp_path / "log").read_text()
            assert "did not stop within 4 s and was killed" in (tmp_path / "log").read_text()
        else:
            command.kill()
            if "all" in end:
                os.kill(server, signal.SIGKILL)
        wait_for(lambda: not any(map(is_running, everybody)), seconds=60)
        assert time.monotonic() - began < 30


def test_a_long_log_keeps_its_beginning_and_its_end_and_says_what_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "trial.log"
    printed = b"".join(b"line %06d\n" % number for number in range(30_000))
    for part in range(0, len(printed), 50_001):  # each by another server, as after crashes
        log = TrialLog(path, head=1000, tail=5000)
        log.write(printed[part : part + 50_001])
        log.close()
    text = path.read_bytes()
    assert len(text) < 12_000 + 50_001
    assert text.startswith(printed[:1000])
    (notice,) = re.findall(rb"\n\[\.\.\. +(\d+) bytes of output are left out here \.\.\.\]\n", text)
    tail = text.rpartition(b"...]\n")[2]
    assert printed.endswith(tail)
    assert 1000 + int(notice) + len(tail) == len(printed)
    small = TrialLog(tmp_path / "small.log", head=1000, tail=5000)
    small.write(printed[:9000])
    assert (tmp_path / "small.log").read_bytes() == printed[:9000]
