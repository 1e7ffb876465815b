"""Experiments with fixed shares: who answers, what is journalled, what a ramp moves."""

import re
import signal
from pathlib import Path

import httpx
import msgspec
import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.serving.config.experiment_config import (
    ArmConfig,
    CanaryConfig,
    ExperimentConfig,
    Linear,
    Margins,
    RewardConfig,
    ShadowConfig,
    Thompson,
)
from lightning_app.serving.config.serve_config import ServeConfig, check_experiments, read_config
from lightning_app.serving.journal.stores.open_store import open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from tests.conftest import CONFIGS
from tests.lightning_app.serving.supervisor.conftest import price_of
from tests.lightning_app.serving.supervisor.running_server import ROW, running_server
from tests.packages import small_package

KEYS = [f"customer-{number}" for number in range(200)]


def config(share: float, *, key: str = "entity", **changes: object) -> dict[str, object]:
    arms = [
        {"name": "control", "share": 1 - share},
        {"name": "treatment", "model": "packages/second", "share": share},
    ]
    experiment = {"name": "prices-1", "key": key, "arms": arms, **changes}
    model = {"model": "packages/first", "name": "price", "entity": "customer", "experiment": experiment}
    return {"models": [model], "workers": 2, "journal": {"url": "sqlite:///journal.db"}}


@pytest.fixture
def prices(tmp_path: Path) -> dict[str, float]:
    """Answer to `ROW` of each arm."""
    packages = {
        "control": small_package(tmp_path / "packages" / "first", seed=1),
        "treatment": small_package(tmp_path / "packages" / "second", seed=2),
    }
    return {arm: price_of(Package.load(path)) for arm, path in packages.items()}


def arms_of(client: httpx.Client, prices: dict[str, float]) -> dict[str, str]:
    """Arm by key; checks that answers are those of their arms."""
    arms = {}
    for number, key in enumerate(KEYS):
        path = "/predict" if number % 2 else "/v2/models/price/infer"
        if number % 2:
            answer = client.post(path, json={"records": [{**ROW, "customer": key}]})
            price = answer.json()["predictions"][0]["price"]
            assert answer.json()["arm"] == answer.headers["x-arm"]
        else:
            features = {"name": "features", "shape": [1, len(ROW)], "datatype": "FP32", "data": list(ROW.values())}
            customer = {"name": "customer", "shape": [1], "datatype": "BYTES", "data": [key]}
            answer = client.post(path, json={"inputs": [features, customer]})
            assert answer.status_code == 200, answer.text
            price = answer.json()["outputs"][0]["data"][0]
        arms[key] = answer.headers["x-arm"]
        assert price == pytest.approx(prices[arms[key]], rel=1e-6)
    return arms


def test_a_split_is_sticky_journalled_and_a_ramp_moves_only_the_share_that_has_to_move(prices) -> None:
    Path("server.yaml").write_text(yaml.safe_dump(config(0.2)))
    with running_server("--config", "server.yaml") as server, httpx.Client(base_url=server.address) as client:
        before = arms_of(client, prices)
        assert 20 < list(before.values()).count("treatment") < 60
        assert arms_of(client, prices) == before
        Path("server.yaml").write_text(yaml.safe_dump(config(0.5)))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("the configuration was replaced")
        server.wait_for(lambda: arms_of(client, prices) != before)
        after = arms_of(client, prices)
        assert 75 < list(after.values()).count("treatment") < 125
        assert not any(before[key] == "treatment" and after[key] == "control" for key in KEYS)
        several = client.post("/predict", json={"records": [{**ROW, "customer": key} for key in KEYS]})
        assert several.headers["x-arm"] == "control"
        for keys in ((1, True), (None,)):  # equal, but not one key; no key
            other = client.post("/predict", json={"records": [{**ROW, "customer": key} for key in keys]})
            assert other.headers["x-arm"] == "control"
        assert server.stop() == 0
    rows = [row for part in open_reader("sqlite:///journal.db").predictions(Selection()) for row in part]
    inside = [row for row in rows if row.experiment is not None]
    assert None not in {row.entity for row in inside}
    assert {row.experiment for row in inside} == {"prices-1"}
    assert {(row.arm, round(row.probability, 9)) for row in inside} == {
        ("control", 0.8), ("treatment", 0.2), ("control", 0.5), ("treatment", 0.5),
    }  # fmt: skip
    assert [(row.arm, row.probability, row.num_rows, row.entity) for row in rows if row.experiment is None] == [
        ("control", 1.0, num_rows, None) for num_rows in (len(KEYS), 2, 1)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": [{"name": "a", "share": 0.5}, {"name": "b", "model": "x", "share": 0.4}]}, "shares sum to 0.9, not"),
        ({"arms": [{"name": "a", "share": 0.5}, {"name": "a", "model": "x", "share": 0.5}]}, "two have the same name"),
        ({"arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}, "a and b without a model; one arm has"),
        ({"policy": {"kind": "thompson", "floor": 0.5}, "arms": [
            {"name": name, "share": 1 / 4, **({"model": name} if number else {})} for number, name in enumerate("abcd")
        ]}, "experiment.policy.floor: 0.5 for each of 4 arms is more than all"),
        ({"reward": {"kind": "binary", "high": 2}}, "low and high of binary rewards are 0 and 1"),
        ({"reward": {"kind": "continuous", "low": 2, "high": 1}}, "experiment.reward: low 2 has to be less than high"),
        ({"policy": {"kind": "thomson"}}, "Invalid value 'thomson'"),
        ({"key": "session", "salt": "x"}, "unknown field `salt`"),
    ],
)  # fmt: skip
def test_an_experiment_that_cannot_be_is_refused(changes, message, capsys) -> None:
    Path("server.yaml").write_text(yaml.safe_dump(config(0.2, **changes)))
    assert main(["serve", "--config", "server.yaml"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "server.yaml" in error or "packages/first" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canary": {}}, "experiment and canary: both choose who answers"),
        ({"entity": None}, "key: entity given, but no entity"),
        ({"experiment": None, "canary": {"steps": [0.5, 0.2, 1]}, "model": "price@champion"}, "canary.steps: 0.5, 0.2"),
        ({"experiment": None, "canary": {}}, "canary: packages/first given, needed is an alias"),
    ],
)
def test_a_model_whose_shares_cannot_be_decided_is_refused(change, message, capsys) -> None:
    content = config(0.2)
    content["models"][0].update(change)
    Path("server.yaml").write_text(yaml.safe_dump(content))
    assert main(["serve", "--config", "server.yaml"]) == 2
    assert message in capsys.readouterr().err


def test_a_bandit_without_a_journal_is_refused_a_split_is_not(prices, capsys) -> None:
    content = config(0.2, policy={"kind": "thompson"})
    Path("server.yaml").write_text(yaml.safe_dump(content))
    assert main(["serve", "--config", "server.yaml", "--journal", "none"]) == 2
    assert "experiment.policy: needs a journal" in capsys.readouterr().err
    Path("server.yaml").write_text(yaml.safe_dump(config(0.2)))
    with (
        running_server("--config", "server.yaml", "--journal", "none") as server,
        httpx.Client(base_url=server.address) as client,
    ):
        assert 20 < list(arms_of(client, prices).values()).count("treatment") < 60


def test_the_shipped_example_has_every_key_of_experiments() -> None:
    path = CONFIGS / "serving" / "experiment.yaml"
    structs = (ExperimentConfig, ArmConfig, Linear, Thompson, RewardConfig, ShadowConfig, CanaryConfig, Margins)
    keys = {field for struct in structs for field in struct.__struct_fields__}
    assert keys <= set(re.findall(r"(?:^|[{ ,#-])(\w+):", path.read_text()))
    check_experiments(read_config(path))


def test_the_configuration_of_an_experiment_survives_the_way_to_the_workers() -> None:
    given = msgspec.convert(config(0.2, policy={"kind": "linear", "columns": ["a"]}), ServeConfig)
    assert msgspec.json.decode(msgspec.json.encode(given), type=ServeConfig) == given
