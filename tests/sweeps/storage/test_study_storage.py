"""Storages: what is asked for, what several processes make at once, and what a killed writer leaves behind."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from lightning_app.errors import UsageError
from sweeps.storage.journal_file import FileLock, JournalFile
from sweeps.storage.study_storage import StorageUnreachable, open_storage
from tests.sweeps.conftest import PROCESS


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/base", "storage: 'mysql://host/base' given, allowed: journal:///path, postgresql://"),
        ("study.db", "storage: 'study.db' given, allowed"),
        ("journal:///no/such/folder/log", "folder /no/such/folder does not exist"),
        ("sqlite:///", "sqlite:///path/study.db"),
        ("grpc://localhost", "host and port are needed: grpc://host:13000"),
        ("grpc://localhost:many", "host and port are needed"),
    ],
)
def test_a_storage_that_cannot_be_is_refused_with_what_can(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        open_storage(url, tmp_path)
    assert message in str(error.value)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'lightning-r2p\[postgres\]'"):
        open_storage("postgresql://host/base", tmp_path)
    with pytest.raises(UsageError, match=r"pip install 'lightning-r2p\[grpc\]'"):
        open_storage("grpc://host:13000", tmp_path)


def test_a_server_that_is_not_there_is_one_line_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra postgres")
    with pytest.raises(StorageUnreachable) as error:
        open_storage("postgresql://me:secret@127.0.0.1:9/base", tmp_path)
    assert "127.0.0.1:9/base cannot be reached: " in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_line_that_a_killed_writer_began_does_not_spoil_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    study = optuna.create_study(storage=open_storage(None, tmp_path), study_name="a")
    study.ask()
    with path.open("a") as file:
        file.write('{"op_code":4,"work')
    optuna.load_study(study_name="a", storage=open_storage(None, tmp_path)).ask()
    study.ask()
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    again = optuna.load_study(study_name="a", storage=open_storage(None, tmp_path))
    assert [trial.number for trial in again.trials] == [0, 1, 2]


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    code = (
        f"from sweeps.storage.journal_file import FileLock; FileLock({path!r}).acquire(); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=PROCESS
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(FileLock(path).acquire)
            assert not waiting.done()
            process.kill()
            assert waiting.result(timeout=5)


def test_processes_that_append_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    code = (
        "import sys; from sweeps.storage.journal_file import JournalFile; journal = JournalFile(sys.argv[1])\n"
        "for index in range(50): journal.append_logs([{'index': index, 'pad': 'x' * 5000}])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=PROCESS) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(log["index"] for log in JournalFile(path).read_logs(0)) == sorted([*range(50)] * 3)
