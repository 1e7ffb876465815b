"""Online features: all views of definitions, updated event by event, read as the training table would answer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from features.batch.reasons import REASONS
from features.batch.request import key_columns, row_times
from features.batch.training_table import check_names, public_columns, public_names
from features.definitions import Definitions
from features.definitions.messages import nearest
from features.definitions.value_type import value_type
from features.fitted import Fitted, evaluate
from features.online.online_view import OnlineView
from features.rows import input_columns, required_features
from features.sources import Notes

_NAMES = REASONS.categories.to_list()
_TYPES: dict[str, pl.DataType] = {"int": pl.Int64(), "float": pl.Float64(), "bool": pl.Boolean(), "str": pl.String()}


class Reading(NamedTuple):
    """Features of one row.

    Attributes:
        values: By public name; None where missing.
        reasons: Why a feature of history is missing, by public name; `present` where it is not.
    """

    values: dict[str, Any]
    reasons: dict[str, str]


class OnlineFeatures:
    """Features of any number of views and sources, online.

    Features of history come from the states of `OnlineView`; features of the row and fitted ones are computed from
    them by the code of the batch form.

    Args:
        definitions: The definitions.
        fitted: State of fitted features; None if none is read.

    Attributes:
        views: Views with features of history, by name; their states can be dumped and loaded.
        notes: What was left out of the events and rows, counted.

    Raises:
        ValueError: The fitted state is of other definitions.
    """

    def __init__(self, definitions: Definitions, fitted: Fitted | None = None) -> None:
        if fitted is not None:
            fitted.check(definitions)
        self.definitions = definitions
        self.fitted = fitted
        self.views = {name: OnlineView(name, definitions) for name, view in definitions.views.items() if view.history}
        self.notes = Notes()
        self._history_features = {f"{name}.{one}" for name, view in self.views.items() for one in view.features}

    def update(self, source: str, rows: Mapping[str, Any] | pl.DataFrame) -> None:
        """Takes an event, or events in the order of a table, into all views of a source.

        Args:
            source: Name of the source.
            rows: Cells by column, or a table.

        Raises:
            ValueError: There is no such source, a column is missing, a cell is of another type, or zones are mixed.
        """
        if source not in self.definitions.sources:
            raise ValueError(f"source {source!r} is not defined{nearest(source, self.definitions.sources)}")
        views = [view for name, view in self.views.items() if self.definitions.views[name].source == source]
        if isinstance(rows, pl.DataFrame):
            tables = [view.read_table(rows, notes=self.notes) for view in views]
        else:
            one_each = [view.read_event(rows) for view in views]
            tables = [[event] if event is not None else [] for event in one_each]
            for view in (view for view, event in zip(views, one_each, strict=True) if event is None):
                self.notes.add(f"source {source!r}", f"have no key or no time: left out of view {view.name!r}", 1)
        for view, events in zip(views, tables, strict=True):  # all views could read them: now none stays behind
            for event in events:
                view.add(event)

    def read(self, row: Mapping[str, Any], *, at: datetime, features: Sequence[str] | None = None) -> Reading:
        """Features of one row.

        Args:
            row: Keys, and the columns that views request.
            at: Time t.
            features: Full names of features, or names of views; None for all.

        Raises:
            ValueError: A name is unknown, a column is missing or of another type, a state no longer has what was
                visible at t, or the fitted state is missing.
        """
        if isinstance(row, pl.DataFrame):
            raise ValueError("read: one row is needed, cells by column; `read_table` takes a table")
        chosen = self.definitions.select(features)
        public = public_names(chosen)
        if not all(full in self._history_features for full in chosen):
            cells = {one.name: one[0] for one in self._answers(pl.DataFrame([row]), chosen, at=at, reasons=True)}
            of_history = [name for full, name in public.items() if full in self._history_features]
            reasons = {name: cells[f"{name}__reason"] for name in of_history}
            return Reading({name: cells[name] for name in public.values()}, reasons)
        answers: dict[str, tuple[Any, int]] = {}
        for name in self._views_of(chosen):
            view = self.views[name]
            read = zip(view.features, *view.values(view.key(row), at), strict=True)
            answers.update((f"{name}.{feature}", (value, reason)) for feature, value, reason in read)
        return Reading(
            {name: answers[full][0] for full, name in public.items()},
            {name: _NAMES[answers[full][1]] for full, name in public.items()},
        )

    def read_table(
        self,
        rows: pl.DataFrame,
        *,
        at: str | datetime = "time",
        features: Sequence[str] | None = None,
        reasons: bool = False,
    ) -> pl.DataFrame:
        """Features of the rows of a table, in its order.

        Args:
            rows: Keys, times, and the columns that views request; all columns are kept.
            at: Column of the times, or one time for all rows.
            features: Full names of features, or names of views; None for all.
            reasons: Append `<feature>__reason` for each feature of history.

        Returns:
            The columns of `rows`, then those of the features, as `training_table` names them.

        Raises:
            ValueError: As `read`.
        """
        chosen = self.definitions.select(features)
        check_names(self.definitions, chosen, rows, reasons=reasons)
        return rows.with_columns(self._answers(rows, chosen, at=at, reasons=reasons))

    def _answers(
        self, rows: pl.DataFrame, chosen: Sequence[str], *, at: str | datetime, reasons: bool
    ) -> list[pl.Series]:
        needed = required_features(self.definitions, chosen)
        times = row_times(rows, at, self.definitions, {}, notes=self.notes)
        blocks = [input_columns(self.definitions, needed, rows, times=times, notes=self.notes)]
        blocks += [self._history(name, rows, times) for name in self._views_of(needed)]
        frame = pl.concat([block for block in blocks if block.width], how="horizontal")
        computed = evaluate(self.definitions, needed, frame, fitted=self.fitted)
        return public_columns(computed, chosen, reasons=reasons)

    def _views_of(self, features: Sequence[str]) -> list[str]:
        """Views whose states these features need."""
        return list(dict.fromkeys(full.partition(".")[0] for full in features if full in self._history_features))

    def _history(self, name: str, rows: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
        view, entity = self.views[name], self.definitions.views[name].entity
        keys = key_columns(rows, [entity] if entity else [], self.definitions, notes=self.notes)
        owners = keys.rows() if entity else [()] * rows.height
        answers = [
            view.values(None if at is None or None in key else key, at)
            for key, at in zip(owners, times.to_list(), strict=True)
        ]
        columns = []
        for i, feature in enumerate(view.features):
            full = f"{name}.{feature}"
            dtype = _TYPES.get(value_type(self.definitions, full))
            cells, codes = [values[i] for values, _ in answers], [reasons[i] for _, reasons in answers]
            columns.append(pl.Series(full, cells, dtype=dtype or pl.Datetime("us", view.zone(feature))))
            columns.append(pl.Series(f"{full}__reason", codes, dtype=pl.UInt8))
        return pl.DataFrame(columns)
