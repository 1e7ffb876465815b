"""Tables of answered rows as monitoring reads them from a journal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.model_facts import ModelFacts
from lightning_app.monitoring.report.structs import Window

NOW = 1_800_000_000.0
DAY = 86_400.0
CHURN = AnswerForm(kind="classes", name="probabilities", labels=("stays", "leaves"))
PRICE = AnswerForm(kind="number", name="price")
SETTINGS = QualitySettings(outcome_within="14d")
EVER = Window(since=0.0, until=NOW + 365 * DAY)


def journal_table(
    columns: dict[str, Any],
    outcome: Sequence[Any] | np.ndarray | pl.Series | None,
    *,
    days_ago: Any = 20.0,
    delay_days: Any = 0.0,
    **journal: Any,
) -> pl.DataFrame:
    """Answered rows of which the outcomes that have come by `NOW` are known.

    Args:
        columns: Columns of the requests, and `prediction.NAME`.
        outcome: Outcome of each row, whether it has come or not.
        days_ago: Age of each row.
        delay_days: Delay of its outcome.
        journal: Columns of the journal that are not as usual.
    """
    table = pl.DataFrame(columns)
    count = len(table)
    times = NOW - np.broadcast_to(np.asarray(days_ago, dtype=float) * DAY, count)
    arrived = times + np.broadcast_to(np.asarray(delay_days, dtype=float) * DAY, count)
    outcomes = pl.Series("outcome", [None] * count if outcome is None else outcome)
    known = pl.Series(arrived <= NOW) & outcomes.is_not_null()
    own = {
        "request_id": [f"r{number}" for number in range(count)], "row": [0] * count, "time": _moments(times),
        "version": [1] * count, "arm": ["champion"] * count, "entity": pl.Series([None] * count, dtype=pl.String),
        "degraded": pl.Series([None] * count, dtype=pl.String), "reward": pl.Series([None] * count, dtype=pl.Float64),
    }  # fmt: skip
    table = table.with_columns(**{f"journal.{name}": pl.Series(values) for name, values in (own | journal).items()})
    return table.with_columns(
        pl.select(pl.when(known).then(outcomes)).to_series().alias("journal.outcome"),
        pl.select(pl.when(known).then(_moments(arrived))).to_series().alias("journal.outcome_time"),
    )


def churn_rows(
    count: int, seed: int, *, shift: float = 0.0, flip: float = 0.0
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A calibrated classifier of churn.

    Args:
        count: Rows.
        seed: Of the rows.
        shift: By how much the input is shifted.
        flip: Share of the outcomes that do not depend on the input as before.

    Returns:
        columns: Of the request and the answer.
        outcome: Labels.
        is_right: Whether the answer is right.
    """
    random = np.random.default_rng(seed)
    months = random.normal(shift, 1.0, count)
    leaves = 1 / (1 + np.exp(1.0 - 1.5 * months))
    came = random.random(count) < leaves
    came ^= random.random(count) < flip
    columns = {"months": months, "prediction.probabilities": np.stack([1 - leaves, leaves], axis=1).tolist()}
    return columns, np.where(came, "leaves", "stays"), came == (leaves > 0.5)


def facts_of(form: AnswerForm, **parts: Any) -> ModelFacts:
    return ModelFacts(form=form, **parts)


def _moments(times: np.ndarray) -> pl.Series:
    return pl.Series((times * 1e6).astype(np.int64)).cast(pl.Datetime("us", "UTC"))
