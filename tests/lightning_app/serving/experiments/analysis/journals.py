"""Synthetic journals of experiments, written through the real store."""

import msgspec
import numpy as np
from msgspec import Struct

from lightning_app.serving.experiments.store import ExperimentStore
from lightning_app.serving.journal.record import Outcome, Shadow
from lightning_app.serving.journal.stores import open_database, open_store
from lightning_app.serving.journal.stores.side_tables import add_shadows
from tests.lightning_app.serving.journal.records import prediction

BEGIN = 1_790_000_000.0
"""2026-09-21, 14:13:20 UTC."""


class Simulated(Struct, kw_only=True):
    """What was written, an element per request."""

    arms: np.ndarray
    probabilities: np.ndarray
    rewards: np.ndarray
    entities: list[str | None]
    amounts: np.ndarray
    times: np.ndarray


def simulate(
    url: str,
    *,
    experiment: str = "price-1",
    num_requests: int = 2000,
    shares: dict[str, float] | None = None,
    lifts: dict[str, float] | None = None,
    num_entities: int = 0,
    rewarded: float = 1.0,
    seconds: float = 86_400.0,
    seed: int = 0,
    begin: float = BEGIN,
    model: str = "churn",
) -> Simulated:
    """Writes an experiment: rewards are normal with a mean of 1 plus the lift of the arm, and depend on the amount.

    With entities, an entity always has the same arm and a level of its own.
    """
    shares = shares or {"champion": 0.5, "large": 0.5}
    lifts = lifts or {}
    random = np.random.default_rng(seed)
    names, parts = list(shares), np.array(list(shares.values()))
    owners = random.integers(0, num_entities or num_requests, num_requests)
    arm_of = random.choice(len(names), num_entities or num_requests, p=parts)
    indices = arm_of[owners] if num_entities else arm_of
    levels = np.random.default_rng(7).standard_normal(num_entities or 1) if num_entities else np.zeros(num_requests)
    amounts = random.uniform(0, 20, num_requests).round(2)
    rewards = 1 + np.array([lifts.get(name, 0.0) for name in names])[indices] + random.standard_normal(num_requests)
    rewards += levels[owners] if num_entities else 0.0
    rewards += np.where(indices == 0, 0.0, 0.05 * (amounts - 10))
    rewards[random.random(num_requests) > rewarded] = np.nan
    times = begin + seconds * np.arange(num_requests) / num_requests
    entities = [f"customer-{owner}" if num_entities else None for owner in owners]
    store = open_store(url)
    for first in range(0, num_requests, 1000):
        places = range(first, min(first + 1000, num_requests))
        store.write([
            prediction(
                f"{experiment}-{place}", time=float(times[place]), arm=names[indices[place]], experiment=experiment,
                probability=float(parts[indices[place]]), entity=entities[place], model=model,
                body=msgspec.json.encode({"records": [{"amount": float(amounts[place]), "city": "Bern"}]}),
                latency_ms=float(1 + place % 100), body_digest=b"%016d" % place,
            )
            for place in places
        ])  # fmt: skip
        store.feedback([
            Outcome(
                request_id=f"{experiment}-{place}", row=0, time=float(times[place]) + 5, outcome=None,
                reward=float(rewards[place]), key_id=None,
            )
            for place in places if np.isfinite(rewards[place])
        ])  # fmt: skip
    store.close()
    return Simulated(
        arms=np.array(names)[indices], probabilities=parts[indices], rewards=rewards, entities=entities,
        amounts=amounts, times=times,
    )  # fmt: skip


def write_experiments(file: str) -> None:
    """A journal in the working folder: a split by customer with a pre-period, and a shadow."""
    url = f"sqlite:///{file}"
    simulate(url, experiment="earlier", shares={"champion": 1.0}, num_entities=500, begin=BEGIN - 2e5, seed=1)
    seen = simulate(url, num_entities=500, lifts={"large": 0.3}, num_requests=6000, seconds=7 * 86_400.0)
    database = open_database(url)
    spec = {
        "arms": {"champion": None, "large": "churn@4"}, "key": "entity", "policy": {"kind": "split"},
        "reward": {"kind": "continuous", "low": -20, "high": 20, "within_seconds": 3600},
    }  # fmt: skip
    shares = {"champion": 0.5, "large": 0.5}
    ExperimentStore(database).create(
        "price-1", model="churn", kind="split", spec=spec, state={"settings": {"shares": shares}}
    )
    answer = b'{"predictions":[{"label":"stays","probability":0.85}]}'
    add_shadows(database, [
        Shadow(request_id=f"price-1-{place}", time=float(seen.times[place]), model="churn", version=5, digest="b" * 64,
               latency_ms=4.0, answer_type="application/json", answer=answer, error=None)
        for place in range(0, 6000, 10)
    ])  # fmt: skip
    database.close()
