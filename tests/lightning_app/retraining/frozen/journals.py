"""Journals of a model that is asked once an hour, with outcomes that come later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lightning_app.retraining.config.policy import DataPolicy, MinimumRows, RetrainPolicy, TrainingPolicy
from lightning_app.serving.journal.record import Outcome, Prediction
from lightning_app.serving.journal.stores import open_reader, open_store
from lightning_app.serving.journal.stores.protocol import JournalReader
from tests.lightning_app.serving.journal.records import prediction

HOUR, DAY = 3600.0, 86400.0
START = 1_767_225_600.0
"""2026-01-01."""


def asked(number: int, record: Mapping[str, Any], *, time: float | None = None, **fields: Any) -> Prediction:
    """A request of one row, an hour after the one before."""
    return prediction(
        f"r{number:05}",
        time=START + number * HOUR if time is None else time,
        model="bikes",
        body=msgspec.json.encode({"records": [record]}),
        answer=msgspec.json.encode({"predictions": [{"rentals": 1.0}]}),
        **fields,
    )


def learned(number: int, value: Any, *, after: float = 2 * HOUR) -> Outcome:
    """The outcome of a request, some time after it."""
    return Outcome(
        request_id=f"r{number:05}", row=0, time=START + number * HOUR + after,
        outcome=msgspec.Raw(msgspec.json.encode(value)), reward=None, key_id=None,
    )  # fmt: skip


def journal(predictions: list[Prediction], outcomes: list[Outcome], file: str = "journal.db") -> JournalReader:
    store = open_store(f"sqlite:///{file}")
    store.write(predictions)
    store.feedback(outcomes)
    store.close()
    return open_reader(f"sqlite:///{file}")


def hourly(num_hours: int, *, without: set[int] = frozenset()) -> JournalReader:  # type: ignore[assignment]
    """A journal in which each request has its outcome after two hours, but for some."""
    predictions = [asked(number, {"hour": number % 24, "temp": number / 10}) for number in range(num_hours)]
    outcomes = [learned(number, number) for number in range(num_hours) if number not in without]
    return journal(predictions, outcomes)


def policy(folder: Path | None = None, **data: Any) -> RetrainPolicy:
    defaults: dict[str, Any] = {
        "outcome": "rentals", "mature_after": "1d", "evaluation_window": "2d",
        "minimum_rows": MinimumRows(train=10, evaluation=10),
    }  # fmt: skip
    return RetrainPolicy(
        model="bikes", data=DataPolicy(**defaults | data), training=TrainingPolicy(config="tabular/bike_sharing")
    )
