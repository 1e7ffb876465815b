"""An export that is killed leaves the package that was there, or none."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import CONFIGS, only_run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_export_that_is_killed_at_any_time_leaves_a_whole_package_or_none(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(fit_args("--model.network", "RepeatLast", "--trainer.max_epochs", "1")) == 0
    run = only_run(tmp_path / "runs")
    command = [sys.executable, "-m", "lightning_app", "export", str(run), "--output", "package", "--overwrite"]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start().wait() == 0
    seconds = time.monotonic() - began
    before = Package.load("package").digest
    generator = random.Random(0)
    digests = {before}
    for _ in range(int(os.environ.get("LIGHTNING_APP_KILLS", "3"))):
        process = start()
        # Most kills near the end, where files are written.
        time.sleep(seconds * (1 - 0.4 * generator.random() ** 2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        digests.add(Package.load("package").digest)
        assert [path.name for path in Path().iterdir() if path.name.startswith("package")] == ["package"]
    assert start().wait() == 0
    digests.add(Package.load("package").digest)
    assert len(digests) >= 2
    assert not list(Path().glob(".package.partial-*"))  # the next writer clears up after the killed one
