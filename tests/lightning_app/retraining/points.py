"""A model of small packages with a history, a registry and a policy; the packages take the place of a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from lightning_app.packaging import Package
from lightning_app.registry import Registry
from lightning_app.retraining.config.policy import RetrainPolicy, read_policy
from lightning_app.retraining.cycles import Cycle, CycleStore, tick_lease
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.freeze import freeze_data
from lightning_app.retraining.steps.outcome import Advance
from lightning_app.retraining.tick import TickReport, tick
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase
from tests.packages import COLUMNS, small_package

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 2000
NOW = (START + timedelta(hours=ROWS)).timestamp() + 10 * 86400


class Points:
    """A model `points` in a folder.

    Args:
        folder: Working folder, with an empty registry.
        journal: Address of the journal.
        champion: Noise of the champion; None has none.
    """

    def __init__(self, folder: Path, *, journal: str, champion: float | None = 1.0) -> None:
        self._open(folder, journal)
        write_history(folder / "history.parquet", folder / "truth")
        (folder / "points.yaml").write_text("{}\n")
        if champion is not None:
            self.make_champion(champion)

    @classmethod
    def of(cls, folder: Path, journal: str) -> "Points":
        """A model that was made before, by another process."""
        points = cls.__new__(cls)
        points._open(folder, journal)
        return points

    def _open(self, folder: Path, journal: str) -> None:
        self.folder, self.journal = folder, journal
        self.registry = Registry(f"sqlite:///{folder}/mlflow.db")
        self._numbers = 0

    def make_champion(self, noise: float) -> int:
        """Registers a package, and makes it champion by force."""
        version = self.registry.register(self.package(noise), "points")
        self.registry.promote(f"points@{version}", to="champion", force="a test begins")
        return version

    def package(self, noise: float) -> Path:
        """A package; the larger the noise, the worse it is."""
        self._numbers += 1
        return small_package(self.folder / f"package-{self._numbers}", name="points", noise=noise, seed=self._numbers)

    def policy(self, **sections: Any) -> RetrainPolicy:
        """The policy, with other sections; `rollout={...}` and so on."""
        return read_policy(self.policy_file(**sections))

    def policy_file(self, **sections: Any) -> Path:
        """File of the policy."""
        content: dict[str, Any] = {
            "model": "points",
            "journal": self.journal,
            "registry": f"sqlite:///{self.folder}/mlflow.db",
            "folder": str(self.folder / "retraining"),
            "data": {
                "outcome": "outcome", "time": "time", "history": [str(self.folder / "history.parquet")],
                "mature_after": "1d", "minimum_rows": {"train": 100, "evaluation": 100},
            },
            "training": {"config": str(self.folder / "points.yaml")},
        }  # fmt: skip
        path = self.folder / "retrain.yaml"
        path.write_text(yaml.safe_dump(_merged(content, sections)))
        return path

    def exported(self, policy: RetrainPolicy, noise: float = 0.1, *, now: float = NOW) -> Cycle:
        """Begins a cycle by hand, freezes its data, and gives it a package in place of a training."""
        with self.store() as store, self._lease(store.database, policy) as lease:
            cycle_id = f"cycle{len(store.cycles('points')) + 1}"
            spec = {
                "trigger": "hand", "window": cycle_id, "words": "by hand", "champion": self.champion(), "cut": now,
                "config_sha256": "", "contract_sha256": None,
            }  # fmt: skip
            assert store.create(cycle_id, model="points", spec=spec, lease=lease, now=now, words="by hand")
            cycle = store.live("points")
            assert cycle is not None
            frozen = freeze_data(Context(policy=policy, database=store.database, now=now), cycle)
            assert isinstance(frozen, Advance), frozen
            package = Package.load(self.package(noise))
            facts = {
                **frozen.facts, "device_minutes": 30.0, "digest": package.digest,
                "result": {"package": str(package.path), "digest": package.digest, "run": None},
            }  # fmt: skip
            after = store.change(cycle, lease=lease, now=now, state="exported", facts=facts, words="a package")
            assert after is not None
            return after

    def ended(self, policy: RetrainPolicy, state: Any, *, now: float) -> None:
        """A cycle that ended at once."""
        with self.store() as store, self._lease(store.database, policy) as lease:
            cycle_id = f"cycle{len(store.cycles('points')) + 1}"
            spec = {"words": "by hand", "champion": self.champion()}
            assert store.create(cycle_id, model="points", spec=spec, lease=lease, now=now, words="by hand")
            cycle = store.live("points")
            assert cycle is not None
            facts = {"version": 1, "device_minutes": 30.0}
            store.change(cycle, lease=lease, now=now, state=state, reason=str(state), words=str(state), facts=facts)

    def tick(self, policy: RetrainPolicy, *, now: float = NOW) -> TickReport:
        """A tick at a time."""
        return tick(policy, now=now)

    def cycle(self) -> Cycle:
        """The newest cycle."""
        with self.store() as store:
            return store.cycles("points")[-1]

    def champion(self) -> int | None:
        """Version of the champion."""
        return self.aliases().get("champion")

    def aliases(self) -> dict[str, int]:
        """Versions by alias."""
        try:
            versions = self.registry.versions("points")
        except ValueError:
            return {}
        return {alias: version.record.number for version in versions for alias in version.aliases}

    @contextmanager
    def store(self) -> Iterator[CycleStore]:
        """Cycles in the journal."""
        database = open_database(self.journal)
        try:
            store = CycleStore(database)
            store.make()
            yield store
        finally:
            database.close()

    def _lease(self, database: JournalDatabase, policy: RetrainPolicy) -> Any:
        folder = Path(policy.folder) / "points"
        return tick_lease(database, url=self.journal, model="points", folder=folder)


def write_history(path: Path, truth: Path) -> None:
    """Hourly rows with the answers of a package without noise as labels."""
    package = Package.load(small_package(truth, noise=0.0))
    rng = np.random.default_rng(3)
    table = pl.DataFrame({name: rng.standard_normal(ROWS).astype(np.float32) for name in COLUMNS})
    answers = package.predict(table)[package.manifest.outputs[0].name]
    times = [START + timedelta(hours=hour) for hour in range(ROWS)]
    table.with_columns(answers.alias("outcome"), pl.Series("time", times)).write_parquet(path)


def _merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
