"""Servers of an experiment without their workers: the experiment process in this process, over a real journal."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lightning_app.serving.config.control_channel import ModelRouting, ResolvedModel, Routing
from lightning_app.serving.config.experiment_config import ExperimentConfig
from lightning_app.serving.config.serve_config import JournalConfig, ModelConfig, ServeConfig
from lightning_app.serving.experiments.assignment import shares_of
from lightning_app.serving.experiments.process.experiment_loop import ExperimentLoop
from lightning_app.serving.experiments.process.experiment_state import ExperimentState
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.record import Outcome
from lightning_app.serving.journal.stores import open_database, open_store
from tests.lightning_app.serving.journal.records import prediction

_numbers = itertools.count()


def experiment(*shares: float, policy: dict[str, Any] | None = None, **fields: Any) -> ExperimentConfig:
    """An experiment `prices` with arms a (the served model), b, c."""
    arms = [{"name": name, "share": share} for name, share in zip("abc", shares, strict=False)]
    for arm in arms[1:]:
        arm["model"] = f"churn@{arm['name']}"
    content = {"name": "prices", "arms": arms, "policy": policy or {"kind": "split"}} | fields
    return msgspec.convert(content, ExperimentConfig)


def server_of(url: str, config: ExperimentConfig, *, name: str = "churn") -> tuple[ServeConfig, list[ResolvedModel]]:
    """Configuration of a server with this experiment, and what it serves."""
    model = ModelConfig(model="churn@champion", name=name, experiment=config)
    resolved = ResolvedModel(name=name, reference="churn@champion", version=3, digest="a" * 64, path="/p", arm="a")
    return ServeConfig(models=[model], journal=JournalConfig(url=url)), [resolved]


class Decider:
    """The experiment process of one server.

    Attributes:
        said: What it has said.
    """

    def __init__(self, folder: Path, url: str, config: ExperimentConfig, *, name: str = "churn") -> None:
        self.folder, self.said = folder, list[Routing]()
        folder.mkdir(exist_ok=True)
        whole, models = server_of(url, config, name=name)
        (folder / "config.json").write_bytes(msgspec.json.encode(whole))
        (folder / "models.json").write_bytes(msgspec.json.encode(models))
        self.loop = ExperimentLoop(folder, say=self.said.append)

    def tick(self, after: float = 0.0) -> ModelRouting:
        """Lets it decide once, some seconds from now; what it has said last."""
        self.loop.tick(time.time() + after)
        return self.said[-1].models[0]

    def shares(self, after: float = 0.0) -> dict[str, float]:
        """Shares after it has decided once."""
        return shares_of(self.tick(after).layout)


class Traffic:
    """Answers and rewards in a journal."""

    def __init__(self, url: str) -> None:
        self._store = open_store(url)
        self._url = url

    def reward(
        self, arm: str, rewards: Sequence[float | None], *, age: float = 0.0, late: float = 0.0, **fields: Any
    ) -> None:
        """One answer of an arm for each reward; None has no reward."""
        names = [f"request-{next(_numbers)}" for _ in rewards]
        begin = time.time() - age
        common = {"arm": arm, "experiment": "prices", "probability": 0.5, "time": begin} | fields
        self._store.write([prediction(name, **common) for name in names])
        self._store.feedback([
            Outcome(request_id=name, row=0, time=begin + late, outcome=None, reward=reward, key_id=None)
            for name, reward in zip(names, rewards, strict=True)
            if reward is not None
        ])  # fmt: skip

    def row(self, arm: str, row: dict[str, Any], reward: float) -> None:
        """One answer to a row, and its reward."""
        self.reward(arm, [reward], body=msgspec.json.encode({"records": [row]}))

    def experiment(self) -> Experiment:
        """The experiment as it is in the journal."""
        found = ExperimentStore(open_database(self._url)).get("prices")
        assert found is not None
        return found

    def state(self) -> ExperimentState:
        """Its state."""
        return msgspec.convert(self.experiment().state, ExperimentState)

    def stop(self, **state: Any) -> None:
        """Stops it, as the command does."""
        found = self.experiment()
        store = ExperimentStore(open_database(self._url))
        assert store.update(found, state={**found.state, **state}, status="stopped", reason="enough")
