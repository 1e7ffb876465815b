"""What a real server served is what `experiment` says of it."""

import json
from collections import defaultdict
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from lightning_app.__main__ import main
from tests.lightning_app.serving.supervisor.running_server import ROW, RunningServer, running_server
from tests.packages import small_package

URL = "sqlite:///journal.db"


def answered(server: RunningServer, number: int) -> tuple[dict[str, list[float]], list[str]]:
    """Rewards by arm, and arms in their order; the second arm is better."""
    random = np.random.default_rng(0)
    rewards: dict[str, list[float]] = defaultdict(list)
    arms = []
    with httpx.Client(base_url=server.address, timeout=30) as client:
        for place in range(number):
            row = {**ROW, "customer": f"c{place % 300}"}
            answer = client.post("/predict", json={"records": [row]})
            assert answer.status_code == 200, answer.text
            arms.append(answer.headers["X-Arm"])
            reward = float(random.random() < (0.3 if arms[-1] == "plain" else 0.6))
            rewards[arms[-1]].append(reward)
            feedback = {"request_id": answer.headers["X-Request-Id"], "reward": reward}
            assert client.post("/feedback", json=feedback).status_code == 200
    return rewards, arms


@pytest.mark.slow
def test_a_split_and_a_shadow_of_a_real_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages = [small_package(tmp_path / name, seed=seed) for seed, name in enumerate(("plain", "fancy"))]
    arms = [{"name": "plain", "share": 0.5}, {"name": "fancy", "model": str(packages[1]), "share": 0.5}]
    experiment = {"name": "prices", "arms": arms, "key": "entity"}
    shadow = {"model": str(packages[1]), "sample": 1.0}
    model = {"model": str(packages[0]), "entity": "customer", "experiment": experiment, "shadow": shadow}
    Path("serve.yaml").write_text(yaml.safe_dump({"models": [model], "workers": 1, "journal": {"url": URL}}))

    def data(*words: str) -> dict:
        assert main(["experiment", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    with running_server("--config", Path("serve.yaml")) as server:
        server.wait_for_log("experiment prices: begun")
        rewards, _ = answered(server, 900)
        server.wait_for(lambda: sum(arm["requests"] for arm in data("show", "prices")["guardrails"]) == 900)
        found = data("analyse", "prices", "--within-seconds", "0")
        assert {arm["arm"]: arm["rewarded"] for arm in found["arms"]} == {name: len(r) for name, r in rewards.items()}
        assert {arm["arm"]: arm["mean"] for arm in found["arms"]} == pytest.approx(
            {name: np.mean(r) for name, r in rewards.items()}
        )
        assert found["settings"]["key"] == "entity"
        assert sum(found["sample_ratio"]["units"].values()) == 300
        assert found["sample_ratio"]["p_value"] > 0.01
        assert found["effects"][0]["sequence"][0] > 0
        assert main(["experiment", "stop", "prices", "--arm", "fancy", "--reason", "it is better"]) == 0
        server.wait_for(lambda: set(answered(server, 20)[1]) == {"fancy"})
        capsys.readouterr()
        compared = data("analyse", "shadow:small_mlp", "--output", "report")
        assert compared["compared"] >= 900, compared
        assert 0 < compared["agreement"] < 1
        assert server.stop() == 0
    (listed, _) = data("list")
    assert (listed["id"], listed["status"], listed["requests"] >= 920) == ("prices", "stopped", True)
