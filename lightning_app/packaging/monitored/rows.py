"""MonitoredRows: held-out rows as the journal of a server exports them, and a way to ask them again, changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import polars as pl

PREDICTION, OUTCOME = "prediction.", "outcome"
ROW_NUMBER = f"{PREDICTION}row"
MOST_ASKED = 40_000
HISTORY = "history, which requests lack where an online store holds it"
"""Why columns of events are not watched."""


class AskChanged(Protocol):
    """Asks the package some of the rows again, with one column shuffled among them."""

    def __call__(self, rows: np.ndarray, column: str, rng: np.random.Generator) -> pl.DataFrame:
        """Answers, in the form of `MonitoredRows.answers`.

        Args:
            rows: Positions of the rows, int64 (B,).
            column: Column of the requests to shuffle.
            rng: Draws the order.
        """


@dataclass(frozen=True)
class MonitoredRows:
    """Held-out rows, each what one request asks for.

    Attributes:
        requests: Columns of the requests, named and typed as the journal's export has them: a list of cells where one
            request has several rows.
        answers: Columns of the package's answers without the prefix `prediction.`; lists where an answer has several
            rows.
        outcome: True values, as feedback sends them; None where nobody can know them.
        times: Time of each row, `datetime64[us]` (N,); None if rows have none, or are in the order of time.
        shuffled: Columns whose importance `ask_changed` can measure.
        ask_changed: Asks rows with a shuffled column; None if that says nothing.
        most_asked: Rows that are asked for the importance of all columns together.
        left_out: Further columns that requests or answers have and that are not watched, and why.
    """

    requests: pl.DataFrame
    answers: pl.DataFrame
    outcome: pl.Series | None
    times: np.ndarray | None = None
    shuffled: Sequence[str] = ()
    ask_changed: AskChanged | None = None
    most_asked: int = MOST_ASKED
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.requests)

    def in_order(self) -> "MonitoredRows":
        """The same rows in the order of time; those of one time keep their order."""
        if self.times is None or not len(self) or (self.times[1:] >= self.times[:-1]).all():
            return self
        order = np.argsort(self.times, kind="stable")
        ask = self.ask_changed
        return replace(
            self,
            requests=self.requests[order],
            answers=self.answers[order],
            outcome=None if self.outcome is None else self.outcome[order],
            times=self.times[order],
            ask_changed=None if ask is None else _Reordered(ask, order),
        )

    def table(self) -> pl.DataFrame:
        """Requests, `prediction.NAME` and `outcome` side by side."""
        outcome = [] if self.outcome is None else [self.outcome.alias(OUTCOME)]
        return self.requests.hstack([*as_predictions(self.answers), *outcome])


def as_predictions(answers: pl.DataFrame) -> pl.DataFrame:
    """Answers under the names that the journal's export gives them.

    Args:
        answers: Columns of answers.
    """
    return answers.rename({name: PREDICTION + name for name in answers.columns})


def values_per_row(series: pl.Series) -> float:
    """Values in a row of a column, those in its lists.

    Args:
        series: A column.
    """
    values = series
    while isinstance(values.dtype, pl.List | pl.Array):
        values = values.explode()
    return len(values) / max(1, len(series))


@dataclass(frozen=True)
class _Reordered:
    ask: AskChanged
    order: np.ndarray

    def __call__(self, rows: np.ndarray, column: str, rng: np.random.Generator) -> pl.DataFrame:
        return self.ask(self.order[rows], column, rng)
