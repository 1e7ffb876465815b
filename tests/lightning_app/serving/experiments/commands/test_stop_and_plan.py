"""`experiment stop` and `experiment plan`."""

import json
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.registry import Registry
from lightning_app.serving.experiments.store import Experiment, ExperimentStore, Lease
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.serving.experiments.analysis.journals import simulate
from tests.packages import small_package
from tests.registries import place_registry


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def store(url: str) -> ExperimentStore:
    """A split, and a canary of phase@2."""
    store = ExperimentStore(open_database(url))
    spec = {"arms": {"champion": None, "large": "churn@2"}, "key": "request", "policy": {"kind": "split"}, "reward": {}}
    store.create("price-1", model="churn", kind="split", spec=spec, state={"layout": []})
    state = {"registered": "phase", "version": 2, "champion": 1, "step": 0}
    store.create("canary:phase@2:1", model="phase", kind="canary", spec={"alias": "challenger"}, state=state)
    return store


def stopped(url: str, *words: str) -> int:
    return main(["experiment", "stop", *words, "--journal", url])


def row(store: ExperimentStore, experiment: str) -> Experiment:
    found = store.get(experiment)
    assert found is not None
    return found


def test_a_split_is_stopped_once_and_says_who_answers_now(
    url: str, store: ExperimentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped(url, "price-1", "--promote", "--reason", "x") == 2
    assert "only a canary is promoted" in capsys.readouterr().err
    assert stopped(url, "price-1", "--arm", "largo", "--reason", "x") == 2
    assert "did you mean 'large'?" in capsys.readouterr().err
    assert stopped(url, "price-1", "--reason", " ") == 2
    assert stopped(url, "price-1", "--arm", "large", "--reason", "it pays") == 0
    ended = row(store, "price-1")
    assert (ended.status, ended.state["arm"]) == ("stopped", "large")
    assert str(ended.reason).endswith(": it pays")
    assert [event.kind for event in store.events("price-1")] == ["created", "stopped"]
    capsys.readouterr()
    assert stopped(url, "price-1", "--reason", "again") == 2
    assert "has ended: stopped" in capsys.readouterr().err
    assert main(["experiment", "show", "price-1", "--journal", url]) == 0
    first = capsys.readouterr().out.partition("\n")[0]
    assert ", stopped: 20" in first
    assert "since" not in first


def test_what_no_server_recorded_cannot_be_stopped(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(url, num_requests=10)
    assert stopped(url, "price-1", "--reason", "x") == 2
    assert "no server recorded price-1" in capsys.readouterr().err


def test_a_server_that_decides_about_a_canary_gets_the_request(
    url: str, store: ExperimentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = "canary:phase@2:1"
    assert stopped(url, canary, "--reason", "x") == 2
    assert "give --promote or --rollback" in capsys.readouterr().err
    lease = Lease(open_database(url), name="canary:phase", holder="server", seconds=60)
    assert lease.hold() is not None
    assert stopped(url, canary, "--rollback", "--reason", "complaints", "--wait", "0", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["done"][:9]) == ("running", "requested")
    request = row(store, canary).state["request"]
    assert (request["action"], request["reason"]) == ("roll_back", "complaints")


def test_without_a_server_the_command_changes_the_registry_itself(
    url: str,
    store: ExperimentStore,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"sqlite:///{place_registry(tmp_path, pytestconfig)}"
    registry = Registry(address, cache=tmp_path / "cache")
    for number, alias in enumerate(("champion", "challenger"), start=1):
        registry.register(small_package(tmp_path / f"package-{number}", seed=number), "phase")
        registry.promote(f"phase@{number}", to=alias, force="a test")
    assert stopped(url, "canary:phase@2:1", "--rollback", "--reason", "complaints", "--registry", address) == 0
    assert "canary:phase@2:1: rolled_back: " in capsys.readouterr().out
    assert row(store, "canary:phase@2:1").status == "rolled_back"
    assert {alias for one in registry.versions("phase") for alias in one.aliases} == {"champion"}


def test_a_plan_takes_its_baseline_from_the_journal(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen = simulate(url, num_requests=2000, seconds=86_400, rewarded=0.5)
    words = ["--journal", url, "--model", "churn", "--days", "100000", "--effect", "0.2", "--relative", "--json"]
    assert main(["experiment", "plan", *words]) == 0
    planned = json.loads(capsys.readouterr().out)
    rewards = seen.rewards[seen.rewards == seen.rewards]
    assert planned["baseline"] == pytest.approx(rewards.mean())
    assert planned["deviation"] == pytest.approx(rewards.std(ddof=1))
    assert planned["effect"] == pytest.approx(0.2 * rewards.mean())
    assert planned["days"]["fixed"] == pytest.approx(sum(planned["fixed"]) / 1000, rel=0.1)
    assert main(["experiment", "plan", "--rate", "0.04", "--effect", "0.005", "--requests-per-day", "5000"]) == 0
    text = capsys.readouterr().out
    assert "25,549 25,549" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--effect", "1"], "give --rate, or --mean and --sd, or --journal and --model"),
        (["--mean", "1", "--effect", "1"], "give --rate, or --mean and --sd, or --journal and --model"),
        (["--rate", "0.04", "--effect", "0"], "a number other than 0 is needed"),
        (["--rate", "0.04", "--effect", "1"], "has to lie between 0 and 1"),
        (["--rate", "0.04", "--effect", "0.01", "--shares", "0.5,0.6"], "sum to 1"),
        (["--rate", "4", "--effect", "0.01"], "a number between 0 and 1 is needed"),
    ],
)
def test_a_plan_that_lacks_something_says_what(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "plan", *words]) == 2
    assert says in capsys.readouterr().err
