"""Monitored rows of a table of labelled rows, which a package is asked, and of an export of its journal."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from lightning_app.errors import UsageError
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import HISTORY, OUTCOME, PREDICTION, ROW_NUMBER, MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.packaging.runtime.row_ids import node_inputs
from lightning_app.packaging.runtime.text.tokenizer import TEXT

JOURNAL = "journal."
_BY_ROW = ("features", "node_ids")
_MOST_OF_HISTORY = 20_000
"""Most rows of a table that is its own history, which is asked as a whole for the importance of each column."""


def is_export(table: pl.DataFrame) -> bool:
    """Whether a table is an export of a journal: it has answers beside requests.

    Args:
        table: Any table.
    """
    return any(name.startswith(PREDICTION) for name in table.columns)


def rows_of_export(table: pl.DataFrame, *, journal_columns: Collection[str], outcome: str) -> MonitoredRows:
    """Rows of an export of the journal, as they were answered; the importance of columns is not measured.

    Args:
        table: The export, in the order of its requests.
        journal_columns: What the journal knows of a row; it is called `journal.NAME` where requests have a `NAME`.
        outcome: Column of the true values.
    """
    own = {JOURNAL + name if JOURNAL + name in table.columns else name for name in journal_columns}
    others = [name for name in table.columns if name not in own and name != outcome]
    answers = [name for name in others if name.startswith(PREDICTION)]
    requests = [name for name in others if not name.startswith((PREDICTION, "input.", "shadow."))]
    known = outcome in table.columns and table[outcome].null_count() < len(table)
    return MonitoredRows(
        requests=as_journalled(table.select(requests)),
        answers=as_journalled(table.select(pl.col(name).alias(name.removeprefix(PREDICTION)) for name in answers)),
        outcome=as_journalled(table.select(outcome)).to_series().alias(OUTCOME) if known else None,
        left_out={name: "the number of a row in its request" for name in answers if name == ROW_NUMBER},
    )


def rows_of_table(predictor: Predictor, table: pl.DataFrame, *, outcome: str) -> MonitoredRows:
    """Labelled rows with the answers of a package; rows that it does not answer are left out.

    Args:
        predictor: Of the package, which answers each row by itself.
        table: The rows, in the order of time if they have one.
        outcome: Column of the true values.

    Raises:
        UsageError: The table has no such column, or the package answers other rows than those of the table.
        RequestError: The table does not fit the package.
    """
    manifest = predictor.manifest
    raw_input = predictor.raw_input
    together = isinstance(raw_input, FeaturesInput) and raw_input.pipeline.rows.entities is not None
    together |= manifest.raw_input is not None and manifest.raw_input.kind not in _BY_ROW
    if together or manifest.layout == "stream":
        raise UsageError(
            f"reference: {manifest.name} answers several rows together, so that a table of rows does not say what a "
            "request is; give an export of its journal with outcomes (`lightning-app journal export`)"
        )
    if outcome not in table.columns:
        raise UsageError(
            f"outcome: the table has no column {outcome!r}, it has {', '.join(table.columns[:20])}; name the column of "
            "the true values with --outcome"
        )
    raw = is_raw(table.columns, manifest)
    columns = list(manifest.raw_input.columns) if raw and manifest.raw_input is not None else []
    asked = _Asked(predictor, table, raw=raw)
    answers, kept = asked.answers(table)
    history = {column.name for column in columns if column.role == "history"}
    names = [name for name in _names(predictor, columns) if name in table.columns and name not in history]
    fixed = {column.name for column in columns if column.role in ("time", *node_inputs(manifest))}
    asks_whole = bool(history) and len(table) > _MOST_OF_HISTORY
    return MonitoredRows(
        requests=as_journalled(table[kept].select(_read_time(name, columns) for name in names)),
        answers=as_journalled(answers),
        outcome=as_journalled(table[kept].select(outcome)).to_series().alias(OUTCOME),
        shuffled=[name for name in names if name not in {*fixed, *node_inputs(manifest)}],
        ask_changed=None if asks_whole else _AskShuffled(asked, kept, whole=bool(history)),
        left_out={**dict.fromkeys(sorted(history), HISTORY), ROW_NUMBER: "the number of a row in its request"},
    )


@dataclass(frozen=True)
class _Asked:
    """A package that is asked rows of a table.

    Attributes:
        predictor: Of the package.
        table: The table.
        raw: Whether it holds raw rows, not inputs of the graph.
    """

    predictor: Predictor
    table: pl.DataFrame
    raw: bool

    def answers(self, table: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Answers, and the positions of the rows that they are of."""
        if not self.raw:
            answers: pl.DataFrame = self.predictor.predict(table)
            return answers, np.arange(len(table))
        parts = list(self.predictor.predict_raw(table))
        answers = pl.concat(part.table for part in parts)
        if "row" in answers.columns:
            return answers, answers["row"].to_numpy().astype(np.int64)
        rejected = [row for part in parts for row in part.rejected]
        return answers, np.setdiff1d(np.arange(len(table)), rejected)


@dataclass(frozen=True)
class _AskShuffled:
    """Asks rows of a table again with one column shuffled.

    Attributes:
        asked: The package and the table.
        kept: Positions of the answered rows in the table.
        whole: Whether the table is the history of its rows, and is asked as a whole.
    """

    asked: _Asked
    kept: np.ndarray
    whole: bool

    def __call__(self, rows: np.ndarray, column: str, rng: np.random.Generator) -> pl.DataFrame:
        """See `AskChanged`."""
        places, table = self.kept[rows], self.asked.table
        mixed = table[column].gather(places[rng.permutation(len(places))])
        if not self.whole:
            return as_journalled(self.asked.answers(table[places].with_columns(mixed.alias(column)))[0])
        answers, kept = self.asked.answers(table.with_columns(table[column].scatter(places, mixed)))
        return as_journalled(answers[np.searchsorted(kept, places)])


def _names(predictor: Predictor, columns: list[RawColumn]) -> list[str]:
    """Columns of a request."""
    if columns:
        return [column.name for column in columns]
    names = [TEXT] if predictor.tokenizer is not None else []
    for spec in predictor.inputs:
        names += [*(spec.columns or ()), spec.name]
    return names


def _read_time(name: str, columns: list[RawColumn]) -> pl.Expr:
    """A column of the requests; times of text files as times, which are not watched."""
    column = next((one for one in columns if one.name == name), None)
    if column is None or column.type != "timestamp":
        return pl.col(name)
    return pl.col(name).cast(pl.String).str.to_datetime(strict=False)
