"""How far a command is, in a terminal of 80 columns and in a pipe."""

import copy
import fcntl
import os
import pickle
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable

import pytest

import callbacks.live_line
from callbacks import Progress
from lightning_app.__main__ import main
from tests.conftest import CONFIGS

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def in_terminal(columns: int, args: list[str]) -> str:
    """What a command writes to a terminal."""
    process, terminal = pty.fork()
    if process == 0:
        environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent), "TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        os.execve(sys.executable, [sys.executable, "-m", "lightning_app", *args], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    written = b""
    while True:
        try:
            written += os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            break
    assert os.waitpid(process, 0)[1] == 0, written.decode()
    return written.decode()


@pytest.mark.slow
def test_the_live_line_fits_80_columns_and_stays_after_the_first_epoch(fit_args: Callable[..., list[str]]) -> None:
    written = in_terminal(80, fit_args("--trainer.max_epochs", "3"))
    renewed = [ESCAPE.sub("", part) for part in re.split(r"[\r\n]", written) if "━" in part or "─" in part]
    assert all(len(line) <= 80 for line in renewed)
    assert any(re.match(r"epoch 3/3 [━─]{10} \d+/5 0:00 .*train/loss", line) for line in renewed), renewed
    assert any(line.startswith("epoch 1/3 validation") for line in renewed)


@pytest.mark.slow
def test_in_a_pipe_lines_come_within_epochs_and_of_every_verb(
    fit_args: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(callbacks.live_line, "_LINE_SECONDS", 0.0)
    assert main(fit_args()) == 0
    text = capsys.readouterr().out
    assert re.search(r"^epoch 2/2  3/5  0:00 left  train/loss .* windows/s$", text, re.MULTILINE)
    assert re.search(r"^epoch 2/2  train/loss .* windows/s$", text, re.MULTILINE)
    for verb, label in (("validate", "validation"), ("test", "test"), ("predict", "predict")):
        assert main(fit_args("--ckpt_path", "best", verb=verb)) == 0
        assert re.search(rf"^{label}  1/\d+  0:00 left$", capsys.readouterr().out, re.MULTILINE)
    assert main(["export", "best", *fit_args()[1:3], "--output", "package", "--", *fit_args()[3:]]) == 0
    assert re.search(r"^export: rows compared with the checkpoint  \d+$", capsys.readouterr().out, re.MULTILINE)


def test_it_can_be_copied_and_pickled_while_it_is_shown() -> None:
    progress = Progress()
    progress._line.begin()
    assert pickle.loads(pickle.dumps(progress)).samples_per_second == 0.0
    assert copy.deepcopy(progress).samples_per_second == 0.0
