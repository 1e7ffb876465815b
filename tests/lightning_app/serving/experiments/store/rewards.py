"""Predictions and rewards of an experiment, for tests."""

import time
from typing import Any

from lightning_app.serving.journal.record import Outcome, Prediction
from tests.lightning_app.serving.journal.records import prediction


def chosen(request_id: str, **fields: Any) -> Prediction:
    return prediction(request_id, **{"experiment": "prices", "probability": 0.5} | fields)


def reward(request_id: str, value: float, *, row: int = 0, late: float = 0.0) -> Outcome:
    return Outcome(request_id=request_id, row=row, time=time.time() + late, outcome=None, reward=value, key_id=None)
