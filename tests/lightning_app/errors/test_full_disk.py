"""Where there is no room, one line says which file could not be written, what it needs and what is free."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.atomic_write import write_whole
from lightning_app.errors import describe, exit_code
from lightning_app.errors.full_disk import names_full_disk
from sweeps.reporting.trial_table import write_trials
from sweeps.storage.journal_file import JournalFile
from tests.conftest import only_run
from tests.full_disk import files_of_at_most
from tests.packages import COLUMNS, small_package

NOISE = pl.DataFrame({"x": np.random.default_rng(0).random(9000)})


def test_a_checkpoint_that_has_no_room_is_named_with_what_it_needs(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_of_at_most(16_000):
        assert main(fit_args()) == 1
    run = only_run(tmp_path / "runs")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert f"{run}/checkpoints/" in line
    assert "File too large; its tensors need " in line
    assert not list(run.rglob(".*.ckpt.*"))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda folder: write_whole(folder / "config.yaml", "x" * 9000), "config.yaml"),
        (lambda folder: write_trials(NOISE, folder / "trials.parquet"), "trials"),
        (lambda folder: small_package(folder / "package", hidden_size=400), "package"),
        (lambda folder: JournalFile(folder / "journal.log").append_logs([{"x": "y" * 9000}]), "journal.log"),
    ],
)
def test_every_writer_names_its_file(write: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    with files_of_at_most(4000), pytest.raises(OSError, match="File too large") as error:
        write(tmp_path)
    assert f"{tmp_path}/{name}" in describe(error.value)
    assert "File too large" in describe(error.value)
    assert exit_code(error.value) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_table_of_answers_that_has_no_room_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = small_package(tmp_path / "package")
    numbers = np.random.default_rng(0).standard_normal((20_000, len(COLUMNS)))
    pl.DataFrame({name: numbers[:, place] for place, name in enumerate(COLUMNS)}).write_parquet("data.parquet")
    with files_of_at_most(30_000):
        assert main(["score", str(package), "data.parquet", "--output", "found.parquet"]) == 1
    assert "found.parquet; it is larger than the limit on files" in capsys.readouterr().err
    assert main(["score", str(package), "data.parquet", "--output", "found.parquet"]) == 0
    assert len(pl.read_parquet("found.parquet")) == 20_000


def test_what_is_free_on_the_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as error, names_full_disk(tmp_path / "new" / "file", 12345):
        NOISE.write_csv("/dev/full")
    said = describe(error.value)
    assert said.startswith(f"No space left on device; 12,345 bytes are needed: {tmp_path}/new/file; ")
    assert f" bytes are free in {tmp_path}" in said
    with pytest.raises(ValueError, match="other"), names_full_disk(tmp_path):
        raise ValueError("other")


def test_an_error_that_is_its_own_cause_is_described() -> None:
    error = RuntimeError("nothing about disks")
    error.__cause__ = error
    assert "nothing about disks" in describe(error)
