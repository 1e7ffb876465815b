"""Leases: who runs a trial, on every storage, when processes ask at once, die, or stand still."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from sweeps.execution.leases import Leases
from sweeps.storage.study_storage import open_storage
from tests.postgres import needs_postgres
from tests.sweeps.conftest import PROCESS


def study_at(url: str | None, folder: Path, name: str = "study") -> optuna.Study:
    """The study as another process would open it."""
    return optuna.create_study(storage=open_storage(url, folder), study_name=name, load_if_exists=True)


def claim_at_once(url: str, name: str, trials: int, processes: int = 3) -> list[list[int]]:
    """What each of some processes got that were let go together."""
    command = [sys.executable, "-m", "tests.sweeps.claimers", url, name, str(trials)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, **pipes, env=PROCESS, text=True) for _ in range(processes)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.stdout.readline() for process in started]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert all(lines), errors
    return [json.loads(line) for line in lines]


@needs_postgres
@pytest.mark.parametrize(
    "url",
    ["journal", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sqlite", "postgresql", "grpc"))],
    indirect=True,
)
def test_of_processes_that_claim_at_once_one_gets_each_trial(url: str, tmp_path: Path) -> None:
    name = f"race at {url}"
    # Three make the tables and the study at once, and ask for trials until there are at least four.
    got = claim_at_once(url, name, 4)
    assert sorted(number for part in got for number in part) == list(range(4))
    study = study_at(url, tmp_path, name)
    assert {trial.number for trial in study.trials} == set(range(len(study.trials)))
    owner = Leases(study, seconds=60)
    left = []
    while (number := owner.adopt()) is not None:
        left.append(number)
    owner.leave()
    got = claim_at_once(url, name, 0)
    assert sorted(number for part in got for number in part) == sorted(left)
    assert left


@needs_postgres
@pytest.mark.parametrize(
    "url", ["journal", "sqlite", "postgresql", pytest.param("grpc", marks=pytest.mark.slow)], indirect=True
)
def test_claims_are_no_study_and_those_of_an_older_version_are_gone_on_with(url: str, tmp_path: Path) -> None:
    name = f"alone at {url}"
    study = study_at(url, tmp_path, name)
    names_before = set(optuna.get_all_study_names(study._storage))
    owner, other = Leases(study, seconds=600), Leases(study_at(url, tmp_path, name), seconds=600)
    assert owner.take(study.ask().number)
    assert other.adopt() is None
    owner.leave()
    assert other.adopt() == 0
    assert set(optuna.get_all_study_names(open_storage(url, tmp_path))) == names_before
    if url.split(":")[0] in ("journal", "sqlite"):
        alone = optuna.load_study(study_name=None, storage=open_storage(url, tmp_path))
        assert alone.study_name == name
    # Claims in the storage of the study, as it was once: a process of that version may still be at work.
    old = study_at(url, tmp_path, f"{name} of old")
    optuna.create_study(storage=old._storage, study_name=f"{old.study_name}.claims")
    first, second = Leases(old, seconds=600), Leases(study_at(url, tmp_path, old.study_name), seconds=600)
    assert first.take(old.ask().number)
    assert second.adopt() is None
    assert len(optuna.load_study(study_name=f"{old.study_name}.claims", storage=old._storage).trials) == 1


def test_claims_of_a_study_that_is_gone_are_not_taken_for_those_of_a_new_one(tmp_path: Path) -> None:
    study = study_at(None, tmp_path)
    assert Leases(study, seconds=600).take(study.ask().number)
    (tmp_path / "journal.log").unlink()
    with pytest.raises(UsageError, match=r"claims of an older study of that name are left in .*journal\.log\.claims"):
        Leases(study_at(None, tmp_path), seconds=600)


@needs_postgres
def test_a_data_base_hands_a_released_trial_to_one_and_a_claimed_one_to_nobody(database: str, tmp_path: Path) -> None:
    owner, other = (Leases(study_at(database, tmp_path, "two"), seconds=600) for _ in range(2))
    number = owner.study.ask().number
    assert owner.take(number)
    assert other.adopt() is None
    owner.release(number)
    assert other.adopt() == number
    assert owner.adopt() is None
    assert owner.renew() == []
    assert not owner.holds(number)


def test_trials_of_a_dead_process_are_free_at_once_and_those_of_a_live_one_are_not(tmp_path: Path) -> None:
    study = study_at(None, tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from tests.sweeps.execution.test_leases import Leases, study_at\n"
        "study = study_at(None, Path(sys.argv[1])); leases = Leases(study, seconds=600)\n"
        "print(leases.take(study.ask().number), flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=PROCESS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        leases = Leases(study, seconds=600)
        assert leases.adopt() is None
        process.kill()
    assert leases.adopt() == 0
    assert leases.holds(0)


def test_a_silent_process_loses_its_trials_after_the_lease_and_gives_them_up(tmp_path: Path) -> None:
    paused, other = (Leases(study_at(None, tmp_path), seconds=0.4) for _ in range(2))
    number = paused.study.ask().number
    assert paused.take(number)
    assert other.adopt() is None
    started = time.monotonic()
    while (adopted := other.adopt()) is None:
        time.sleep(0.02)
    assert adopted == number
    assert 0.35 < time.monotonic() - started < 2
    assert paused.renew() == [number]
    assert not paused.holds(number)
    assert paused.renew() == []


def test_a_process_that_renews_keeps_its_trials_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)  # clocks of hosts differ; nobody looks at them
    owner, other = (Leases(study_at(None, tmp_path), seconds=0.3) for _ in range(2))
    assert owner.take(owner.study.ask().number)
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        assert owner.renew() == []
        assert other.adopt() is None
        time.sleep(0.02)


def test_a_process_that_was_paused_itself_does_not_take_others_for_dead(tmp_path: Path) -> None:
    owner, other = (Leases(study_at(None, tmp_path), seconds=0.4) for _ in range(2))
    assert owner.take(owner.study.ask().number)
    assert other.adopt() is None
    time.sleep(0.6)  # neither was heard of: the storage was away, say
    assert other.adopt() is None
    assert owner.renew() == []
    assert other.adopt() is None


def test_a_trial_that_was_asked_for_and_never_claimed_is_taken_up_after_the_lease(tmp_path: Path) -> None:
    dead = study_at(None, tmp_path)
    late = Leases(dead, seconds=0.3)
    number = dead.ask().number
    other = Leases(study_at(None, tmp_path), seconds=0.3)
    assert other.adopt() is None
    while other.adopt() is None:
        time.sleep(0.02)
    assert other.holds(number)
    assert not late.take(number)


def test_released_trials_are_free_at_once_and_ended_ones_never(tmp_path: Path) -> None:
    owner, other = (Leases(study_at(None, tmp_path), seconds=600) for _ in range(2))
    first, second = owner.study.ask(), owner.study.ask()
    assert owner.take(first.number)
    assert owner.take(second.number)
    owner.release(first.number)
    assert other.adopt() == first.number
    assert other.adopt() is None
    owner.study.tell(second, 1.0)
    owner.leave()
    assert other.adopt() is None
    assert owner.study.trials[second.number].state == TrialState.COMPLETE


def test_losses_without_a_report_in_between_are_counted(tmp_path: Path) -> None:
    owner = Leases(study_at(None, tmp_path), seconds=600)
    trial = owner.study.ask()
    assert owner.take(trial.number)
    losses = []
    for report in (None, 3, None):
        if report is not None:
            trial.report(1.0, report)
        owner.leave()
        owner = Leases(study_at(None, tmp_path), seconds=600)
        assert owner.adopt() == trial.number
        losses.append(owner.losses(trial.number))
    assert losses == [1, 0, 1]
    owner.release(trial.number)
    assert owner.adopt() == trial.number
    assert owner.losses(trial.number) == 0


def test_one_write_renews_any_number_of_trials(tmp_path: Path) -> None:
    owner = Leases(study_at(None, tmp_path), seconds=0.01)
    assert all(owner.take(owner.study.ask().number) for _ in range(5))
    time.sleep(0.01)
    before = {path: len(path.read_text().splitlines()) for path in tmp_path.glob("journal.log*")}
    assert owner.renew() == []
    after = {path: len(path.read_text().splitlines()) for path in tmp_path.glob("journal.log*")}
    assert sum(after.values()) == sum(before.values()) + 1


def test_a_stopped_process_is_not_dead(tmp_path: Path) -> None:
    from sweeps.execution.owner import Owner

    here = Owner.here()
    assert not here.is_dead()
    child = os.fork()
    if child == 0:
        signal.pause()
    assert os.getpid() == here.process
    other = Owner(
        "other", here.machine, child, int(Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()[19])
    )
    os.kill(child, signal.SIGSTOP)
    assert not other.is_dead()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert other.is_dead()
    assert not Owner("far", "another boot", child, other.started).is_dead()
