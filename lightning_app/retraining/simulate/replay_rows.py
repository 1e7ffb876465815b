"""ReplayRows: labelled rows of the past in the order of time, and when each label was known and final."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.definitions.duration import seconds
from lightning_app.errors import UsageError
from lightning_app.retraining.config.policy import DataPolicy
from lightning_app.retraining.frozen.frozen_set import EVENT
from lightning_app.retraining.frozen.labelled_rows import OUTCOME, OUTCOME_TIME, history_rows, request_columns

MICRO = 1e6


@dataclass(frozen=True)
class ReplayRows:
    """Rows of a replay.

    Attributes:
        table: Columns of the requests and the label, in the order of time.
        label: Column of the labels.
        event: When each row happened (N,), Unix seconds.
        available: When its label became known.
        final: When its label was known and mature, so that it may be trained on.
        notes: What was left out.
    """

    table: pl.DataFrame
    label: str
    event: np.ndarray
    available: np.ndarray
    final: np.ndarray
    notes: tuple[str, ...] = ()


def read_replay_rows(path: str, data: DataPolicy, *, delay: float | None = None) -> ReplayRows:
    """Reads a table of labelled rows; `outcome_time` says when a label became known.

    Args:
        path: A file, folder, or snapshot.
        data: Names of label and time, and how long outcomes may take.
        delay: Seconds from a row to its label, where the table does not say; None takes `mature_after`.

    Raises:
        UsageError: The table cannot be read, or has no rows with label and time.
    """
    read = history_rows(path, data)
    mature_after = seconds(data.mature_after)
    usable = pl.col(EVENT).is_not_null() & pl.col(OUTCOME).is_not_null()
    table = read.table.filter(usable).sort(EVENT, maintain_order=True)
    if table.is_empty():
        raise UsageError(f"history: {path} has no row with a label and a time")
    notes = list(read.notes)
    if left := len(read.table) - len(table):
        notes.append(f"history: {left:,} rows without label or time are left out")
    event = table[EVENT].dt.epoch("us").to_numpy() / MICRO
    known = table[OUTCOME_TIME].dt.epoch("us").to_numpy().astype(np.float64) / MICRO
    available = np.where(np.isfinite(known), known, event + (mature_after if delay is None else delay))
    if (available < event).any():
        notes.append(f"history: {int((available < event).sum()):,} labels are earlier than their rows")
    return ReplayRows(
        table=table.select(*request_columns(table), pl.col(OUTCOME).alias(data.outcome)),
        label=data.outcome,
        event=event,
        available=available,
        final=np.maximum(available, event + mature_after),
        notes=tuple(notes),
    )
