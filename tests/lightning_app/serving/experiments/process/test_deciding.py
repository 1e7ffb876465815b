"""Deciding: rewards in a journal become shares; every server says the same; what was learned is never lost."""

import logging
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.measure import ROOT
from lightning_app.errors import UsageError
from lightning_app.serving.config.experiment_config import Linear, Policy, Thompson
from lightning_app.serving.config.serve_config import check_experiments, read_config
from lightning_app.serving.experiments.assignment import shares_of
from lightning_app.serving.experiments.policies.linear_choice import LinearChoice
from lightning_app.serving.experiments.process.registration import check_registered
from lightning_app.serving.experiments.store import ExperimentStore
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.serving.experiments.process.servers import Decider, Traffic, experiment, server_of
from tests.lightning_app.serving.journal.records import empty_database
from tests.postgres import needs_postgres

THOMPSON = {"kind": "thompson", "floor": 0.05}


def test_rewards_shift_shares_and_a_restart_keeps_what_was_learned(tmp_path: Path, journal_url: str) -> None:
    config = experiment(0.9, 0.1, policy=THOMPSON)
    first = Decider(tmp_path / "first", journal_url, config)
    assert first.shares() == pytest.approx({"a": 0.9, "b": 0.1}, abs=1e-3)
    traffic = Traffic(journal_url)
    traffic.reward("a", [1] * 5 + [0] * 95)
    traffic.reward("b", [1] * 20 + [0] * 80)
    learned = first.shares()
    assert learned["b"] > 0.9
    assert learned["a"] >= 0.05
    first.loop.close()
    again = Decider(tmp_path / "again", journal_url, config)
    assert again.shares() == learned
    traffic.reward("a", [1])
    again.tick()
    state = traffic.state()
    assert {arm: (each.rewards, each.total) for arm, each in state.records.items()} == {"a": (101, 6), "b": (100, 20)}
    assert state.statistics["a"].weight == 101


def test_two_servers_say_the_same_and_one_goes_on_when_the_other_is_gone(tmp_path: Path, journal_url: str) -> None:
    config = experiment(0.5, 0.5, policy=THOMPSON)
    one, two = (Decider(tmp_path / name, journal_url, config) for name in ("one", "two"))
    traffic = Traffic(journal_url)
    one.tick(), two.tick()
    traffic.reward("a", [0] * 50)
    assert two.shares() == {"a": 0.5, "b": 0.5}  # it does not hold the lease
    assert one.shares() == two.shares() != {"a": 0.5, "b": 0.5}
    one.loop.close()
    traffic.reward("b", [0] * 60)
    before = two.said[-1]
    assert shares_of(before.models[0].layout) != two.shares()
    assert {arm: each.weight for arm, each in traffic.state().statistics.items()} == {"a": 50, "b": 60}


def test_a_name_is_never_used_for_another_experiment(tmp_path: Path, journal_url: str, caplog) -> None:
    Decider(tmp_path / "first", journal_url, experiment(0.5, 0.5)).tick()
    other = experiment(0.5, 0.3, 0.2)
    second = Decider(tmp_path / "second", journal_url, other)
    routing = second.tick()
    second.tick()
    assert (routing.experiment, shares_of(routing.layout)) == ("prices:refused", {"a": 1.0})
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    expected = (
        "experiment.name: 'prices' belongs to an experiment with arms "
        '{"a":null,"b":"churn@b"}, {"a":null,"b":"churn@b","c":"churn@c"} given; '
        "a name is never used again, take another"
    )
    assert message == f"{expected}; the control answers everything"
    assert routing.facts == {"status": "refused", "reason": expected}
    check_registered(*server_of(journal_url, experiment(0.1, 0.9)))
    for model, config in (
        ("churn", other), ("else", experiment(0.5, 0.5)), ("churn", experiment(0.5, 0.5, policy=THOMPSON)),
        ("churn", experiment(0.5, 0.5, key="session")),
        ("churn", experiment(0.5, 0.5, reward={"kind": "continuous", "high": 2})),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="a name is never used again"):
            check_registered(*server_of(journal_url, config, name=model))


def test_a_ramp_moves_only_the_share_that_has_to_move(tmp_path: Path, journal_url: str) -> None:
    before = Decider(tmp_path, journal_url, experiment(0.8, 0.1, 0.1)).tick()
    after = Decider(tmp_path, journal_url, experiment(0.6, 0.3, 0.1)).tick()
    assert shares_of(after.layout) == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1})
    assert moved_share(before.layout, after.layout) == pytest.approx(0.2)
    (_, event) = ExperimentStore(open_database(journal_url)).events("prices")
    assert event.kind == "settings"
    assert event.facts["before"]["shares"] == {"a": 0.8, "b": 0.1, "c": 0.1}
    assert event.facts["after"]["shares"] == {"a": 0.6, "b": 0.3, "c": 0.1}


def moved_share(before, after) -> float:
    cuts = sorted({each.start for each in (*before, *after)} | {1.0})

    def arm(layout, at):
        return next(each.arm for each in layout if each.start <= at < each.end)

    return sum(end - begin for begin, end in pairwise(cuts) if arm(before, begin) != arm(after, begin))


def test_of_two_servers_the_newest_configuration_counts_and_a_restarted_process_is_not_newer(
    tmp_path: Path, journal_url: str
) -> None:
    old = Decider(tmp_path / "old", journal_url, experiment(0.9, 0.1))
    old.tick()
    new = Decider(tmp_path / "new", journal_url, experiment(0.2, 0.8))
    assert new.shares() == pytest.approx({"a": 0.2, "b": 0.8})  # although the other one holds the lease
    assert old.shares() == pytest.approx({"a": 0.2, "b": 0.8})
    restarted = Decider(tmp_path / "old", journal_url, experiment(0.9, 0.1))  # the folder of the server is the same
    assert restarted.shares() == pytest.approx({"a": 0.2, "b": 0.8})


@pytest.mark.parametrize(("state", "arm"), [({}, "a"), ({"arm": "b"}, "b"), ({"arm": "gone"}, "a")])
@pytest.mark.parametrize("policy", [None, THOMPSON, {"kind": "linear", "columns": ["age"]}])
def test_a_stopped_experiment_stays_stopped(tmp_path: Path, journal_url: str, policy, state, arm) -> None:
    if journal_url.startswith("postgresql") and policy is not None:
        pytest.skip("the same statements")
    config = experiment(0.5, 0.5, policy=policy)
    decider = Decider(tmp_path / "one", journal_url, config)
    decider.tick()
    traffic = Traffic(journal_url)
    traffic.stop(**state)
    traffic.reward("b", [1] * 9)
    assert decider.shares() == {arm: 1.0}
    again = Decider(tmp_path / "two", journal_url, experiment(0.1, 0.9, policy=policy))
    routing = again.tick()
    assert (shares_of(routing.layout), routing.linear) == ({arm: 1.0}, None)
    assert (routing.facts["status"], routing.facts["reason"]) == ("stopped", "enough")


def test_an_arm_with_share_0_gets_nothing_and_the_floor_holds_for_the_others(tmp_path: Path, journal_url: str) -> None:
    Decider(tmp_path, journal_url, experiment(0.4, 0.3, 0.3, policy=THOMPSON)).tick()
    traffic = Traffic(journal_url)
    traffic.reward("b", [1] * 50)
    decider = Decider(tmp_path, journal_url, experiment(0.7, 0.0, 0.3, policy=THOMPSON))
    decider.tick()
    routing = decider.tick(20)
    assert shares_of(routing.layout).keys() == {"a", "c"}
    assert (routing.facts["arms"]["b"]["status"], routing.facts["arms"]["b"]["probability"]) == ("stopped", 0)


def test_missing_rewards_count_as_zero_once_it_is_too_late_for_them(tmp_path: Path, journal_url: str) -> None:
    policy = {**THOMPSON, "missing_is_zero": True}
    config = experiment(0.5, 0.5, policy=policy, reward={"within_seconds": 60})
    decider = Decider(tmp_path, journal_url, config)
    decider.tick()
    traffic = Traffic(journal_url)
    traffic.reward("a", [None] * 10 + [1, 0], age=100)
    traffic.reward("b", [1], age=100, late=70)
    traffic.reward("b", [None] * 5, age=10)
    decider.tick()
    state = traffic.state()
    assert {arm: (each.rewards, each.missing) for arm, each in state.records.items()} == {"a": (2, 10), "b": (0, 1)}
    assert {arm: (each.weight, each.total) for arm, each in state.statistics.items()} == {"a": (12, 1), "b": (1, 0)}
    assert state.left_out.late == 1
    decider.tick()
    assert traffic.state() == state


def test_a_half_life_forgets_by_the_time_of_the_answer_and_lets_shares_drift_back(
    tmp_path: Path, journal_url: str
) -> None:
    policy = {**THOMPSON, "half_life_seconds": 100}
    decider = Decider(tmp_path, journal_url, experiment(0.5, 0.5, policy=policy))
    decider.tick()
    traffic = Traffic(journal_url)
    traffic.reward("a", [1] * 64, age=100)
    traffic.reward("b", [0] * 64)
    assert decider.shares()["a"] > 0.9
    weights = {arm: each.weight for arm, each in traffic.state().statistics.items()}
    assert weights == pytest.approx({"a": 32, "b": 64}, rel=0.05)
    assert decider.shares(after=5000) == pytest.approx({"a": 0.5, "b": 0.5}, abs=0.01)


def test_continuous_rewards_are_compared_on_their_own_scale(tmp_path: Path, journal_url: str) -> None:
    reward = {"kind": "continuous", "low": -10, "high": 30}
    decider = Decider(tmp_path, journal_url, experiment(0.5, 0.5, policy=THOMPSON, reward=reward))
    decider.tick()
    traffic = Traffic(journal_url)
    traffic.reward("a", [1.0, 3.0, 2.0] * 10)
    traffic.reward("b", [4.0, 3.0, 5.0] * 10)
    traffic.reward("b", [31.0])
    routing = decider.tick()
    assert shares_of(routing.layout)["b"] > 0.9
    assert routing.facts["arms"]["b"]["mean"] == 4
    assert routing.facts["left_out"]["out_of_range"] == 1


def test_a_linear_bandit_learns_from_the_bodies_of_requests(tmp_path: Path, journal_url: str) -> None:
    policy = {"kind": "linear", "columns": ["age", "income"], "draws": 64}
    decider = Decider(tmp_path, journal_url, experiment(0.5, 0.5, policy=policy))
    assert decider.tick().linear is None
    traffic = Traffic(journal_url)
    for number in range(60):
        age = 20 + number
        traffic.row("a", {"age": age, "income": None if number == 3 else 5}, float(age > 50))
        traffic.row("b", {"age": age, "income": "n/a" if number == 5 else 5}, float(age <= 50))
    traffic.reward("a", [1], body=b'{"records":[{"age":1},{"age":2}]}', num_rows=2)
    traffic.reward("a", [1], body=b"\x00", content_type="application/x-unknown")
    routing = decider.tick()
    assert routing.linear is not None
    choice = LinearChoice(routing.linear)
    old, young = (dict(zip(choice.arms, choice.probabilities({"age": age}), strict=True)) for age in (75, 22))
    assert old["a"] > 0.9
    assert young["b"] > 0.9
    assert routing.facts["missing_values"] == {"age": 0, "income": 2}
    assert routing.facts["left_out"]["unread"] == 2
    assert routing.facts["arms"]["a"]["probability"] is None
    assert Decider(tmp_path / "two", journal_url, experiment(0.5, 0.5, policy=policy)).tick().linear == routing.linear


@needs_postgres
def test_a_journal_that_is_down_is_said_once_and_shares_stay(tmp_path: Path, postgres_server: str, caplog) -> None:
    import psycopg

    caplog.set_level(logging.INFO)
    url = empty_database(postgres_server)
    name = url.rpartition("/")[2]
    decider = Decider(tmp_path, url, experiment(0.5, 0.5, policy=THOMPSON))
    decider.tick()
    traffic = Traffic(url)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        decider.tick()
        decider.tick(10)
        assert len(decider.said) == 1
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    traffic.reward("b", [1] * 20)
    assert decider.shares()["b"] > 0.8
    down, back = [record.getMessage() for record in caplog.records if record.getMessage().startswith("churn: ")]
    assert "the journal cannot be reached" in down
    assert back == "churn: decided again"


def test_facts_alone_are_passed_on_every_five_seconds(tmp_path: Path, journal_url: str) -> None:
    decider = Decider(tmp_path, journal_url, experiment(0.5, 0.5))
    decider.tick()
    traffic = Traffic(journal_url)
    traffic.reward("a", [1])
    decider.tick(1)
    assert len(decider.said) == 1
    assert decider.tick(6).facts["arms"]["a"]["rewards"] == 1
    assert len(decider.said) == 2
    decider.tick(60)
    assert len(decider.said) == 2


def test_the_configurations_of_the_page_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/experiments.md").read_text().partition("## Bandits")[2].partition("\n## ")[0]
    whole, policy = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "serve.yaml"
    file.write_text(whole)
    assert isinstance(policy_of(file), Thompson)
    file.write_text(re.sub(r" *policy: \{kind: thompson.*\n", policy, whole))
    assert policy_of(file) == Linear(columns=["age", "basket", "visits"], floor=0.02, draws=256)


def policy_of(file: Path) -> Policy:
    config = read_config(file)
    check_experiments(config)
    (model,) = config.models
    assert model.experiment is not None
    return model.experiment.policy


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ["age", "age"]}, "experiment.policy.columns: age given twice"),
        ({"columns": ["secret"]}, r"experiment.policy.columns: secret is not in the journal \(drop, hash\)"),
        ({"columns": [f"c{n}" for n in range(64)], "draws": 4096}, "532,480 numbers, at most 500,000 are sent"),
        ({"columns": []}, "experiment.policy.columns"),
        ({"columns": ["age"], "floor": 0.51}, "experiment.policy.floor"),
    ],
)
def test_a_linear_policy_that_cannot_be_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    arms = [{"name": "a", "share": 0.5}, {"name": "b", "model": "churn@3", "share": 0.5}]
    experiment = {"name": "prices", "arms": arms, "policy": {"kind": "linear", **fields}}
    content = {"models": [{"model": "churn@champion", "experiment": experiment}], "journal": {"hash": ["secret"]}}
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=message):
        check_experiments(read_config(tmp_path / "serve.yaml"))
