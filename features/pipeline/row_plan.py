"""RowPlan: the features of a few rows in plain Python, equal to the table form and many times faster."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from features.batch.training_table import public_names
from features.definitions import Column, Definitions, FittedFeature, Given, HistoryFeature, LabelColumn, Text
from features.definitions.cells import TableNeededError, cell_reader, text_cell
from features.definitions.columns_read import TIME, columns_read
from features.definitions.source import ColumnType
from features.definitions.value_type import value_type
from features.fitted.cells import fitted_cells
from features.pipeline.asked_rows import NO_TIME
from features.pipeline.needed import key_types, request_columns
from features.pipeline.pipeline import FeaturePipeline
from features.pipeline.row_times import RowTimes
from features.rows import TIME_COLUMN, input_name, required_features
from features.rows.cells import CellFunction, row_cells

_TYPES = ("int", "float", "bool", "str", "datetime")


class PlainRows(NamedTuple):
    """Features of a few rows.

    Attributes:
        arrays: See `Layout.arrays`.
        texts: See `FeaturePipeline.texts`; empty if no feature is a text.
    """

    arrays: dict[str, np.ndarray]
    texts: list[str]


class _Input(NamedTuple):
    """A column of the rows: its name, and the function that reads a cell."""

    column: str
    read: CellFunction


class _Step(NamedTuple):
    """A feature: its function, and the places of its inputs among the values of a row."""

    function: CellFunction
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class RowPlan:
    """Functions of the columns of a row, compiled once.

    What a row cannot be answered by, or has to be refused for, is left to the table form: `read` and `arrays` raise
    `TableNeededError`, and give the same values as the table form where they do not.

    Attributes:
        history: Full names of the features of history that the others, or the network, read, in the order of `arrays`.
        keys: Key columns of the rows.
        times: Reads the times of rows.
        columns: All columns that are read.
    """

    history: tuple[str, ...]
    keys: tuple[str, ...]
    times: RowTimes
    columns: tuple[str, ...]
    _inputs: tuple[_Input, ...]
    _steps: tuple[_Step, ...]
    _numbers: tuple[int, ...]
    _categories: tuple[tuple[int, int], ...]
    _texts: tuple[int, ...]
    _renamed: Mapping[str, str]

    @classmethod
    def of(cls, pipeline: FeaturePipeline) -> "RowPlan | None":
        """The plan of a fitted pipeline; None if some of its features have no cell form.

        Args:
            pipeline: The pipeline.

        Raises:
            ValueError: The fitted state is of other definitions.
        """
        definitions, layout = pipeline.definitions, pipeline.layout
        if layout is None or layout.vectors or _has_special_columns(pipeline):
            return None
        if pipeline.fitted is not None:
            pipeline.fitted.check(definitions)
        needed = required_features(definitions, pipeline.features)
        columns = _Columns(definitions, needed)
        for full in needed:
            if isinstance(definitions.feature(full), HistoryFeature):
                continue
            if not columns.read_inputs(full):
                return None
        history = tuple(full for full in needed if isinstance(definitions.feature(full), HistoryFeature))
        for full in history:
            columns.add(full, value_type(definitions, full))
        steps = []
        for full in needed:
            if full in history:
                continue
            compiled = _compiled(pipeline, full, columns)
            if compiled is None:
                return None
            step, kind = compiled
            steps.append(step)
            columns.add(full, kind)
        full_of = {name: full for full, name in pipeline.columns.items()}
        if not {*layout.numbers, *(column.name for column in layout.categories), *layout.texts} <= full_of.keys():
            return None
        numbers = [columns.places[full_of[name]] for name in layout.numbers]
        categories = [(columns.places[full_of[column.name]], column.shift) for column in layout.categories]
        texts = [columns.places[full_of[name]] for name in layout.texts]
        if any(columns.types[place] not in ("int", "float", "bool") for place in numbers):
            return None
        if any(columns.types[place] != "int" for place, _ in categories):
            return None
        keys, times = tuple(key_types(definitions, pipeline.features)), RowTimes(pipeline)
        read = [*keys, *(column for column, _ in columns.inputs), *times.columns]
        source = pipeline.rows.source(definitions)
        return cls(
            history=history,
            keys=keys,
            times=times,
            columns=tuple(dict.fromkeys(read)),
            _inputs=tuple(columns.inputs),
            _steps=tuple(steps),
            _numbers=tuple(numbers),
            _categories=tuple(categories),
            _texts=tuple(texts),
            _renamed={} if source is None else {key: own for key, own in source.keys.items() if key != own},
        )

    def with_keys(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Rows that have key columns by the names of the entities, where their source calls them otherwise.

        Args:
            rows: Cells by column; all rows have the same columns.
        """
        renamed = {key: own for key, own in self._renamed.items() if own in rows[0] and key not in rows[0]}
        if not renamed:
            return rows
        return [{**row, **{key: row[own] for key, own in renamed.items()}} for row in rows]

    def times_asked(self, rows: Sequence[Mapping[str, Any]], at: datetime | None) -> list[datetime]:
        """Times that rows are asked about, without a zone or in UTC.

        Args:
            rows: Cells by column.
            at: Time of all rows; None for that of each.

        Raises:
            TableNeededError: A time is missing or no time, or several have a zone.
        """
        if at is not None:
            if at.tzinfo is not None:
                raise TableNeededError
            return [at] * len(rows)
        return self.times.read(rows) if self.times.columns else [NO_TIME] * len(rows)

    def arrays(
        self,
        rows: Sequence[Mapping[str, Any]],
        times: Sequence[datetime],
        histories: Sequence[Sequence[Any]],
    ) -> dict[str, np.ndarray]:
        """The features of rows as a network takes them, see `Layout.arrays`; arguments as of `features`."""
        return self.features(rows, times, histories).arrays

    def features(
        self,
        rows: Sequence[Mapping[str, Any]],
        times: Sequence[datetime],
        histories: Sequence[Sequence[Any]],
    ) -> PlainRows:
        """The features of rows as a network and its tokenizer take them.

        Args:
            rows: Cells by column.
            times: Times of the rows.
            histories: Values of `history` of each row.

        Raises:
            TableNeededError: A cell is absent, or of another type than the table form takes at once, or a value does
                not fit.
        """
        several = len(rows) > 1
        numbers, categories, texts = [], [], list[str]()
        try:
            for row, time, past in zip(rows, times, histories, strict=True):
                values: list[Any] = [time]
                for column, read in self._inputs:
                    cell = read(row[column])
                    if several and type(cell) is datetime and cell.tzinfo is not None:
                        raise TableNeededError  # texts of several zones are refused
                    values.append(cell)
                values += past
                for function, inputs in self._steps:
                    values.append(function(*[values[place] for place in inputs]))
                numbers.append([math.nan if (value := values[place]) is None else value for place in self._numbers])
                categories.append(
                    [1 if (value := values[place]) is None else value + shift for place, shift in self._categories]
                )
                texts += [values[place] or "" for place in self._texts]
        except (KeyError, OverflowError) as error:
            raise TableNeededError from error
        arrays: dict[str, np.ndarray] = {}
        if self._numbers:
            with np.errstate(over="ignore"):
                arrays["numbers"] = np.array(numbers, dtype=np.float64).astype(np.float32)
            if np.isinf(arrays["numbers"]).any():
                raise TableNeededError
        if self._categories:
            arrays["categories"] = np.array(categories, dtype=np.int64)
        return PlainRows(arrays, texts)


class _Columns:
    """Places of the values of a row: its time, the cells that features read, history, then features."""

    def __init__(self, definitions: Definitions, needed: Sequence[str]) -> None:
        texts = [(full, feature) for full in needed if isinstance(feature := definitions.feature(full), Text)]
        self._texts = {
            input_name(column, full.partition(".")[0], definitions) for full, text in texts for column in text.plain
        }
        self.inputs: list[_Input] = []
        self.places: dict[str, int] = {TIME_COLUMN: 0}
        self.types: list[str] = ["datetime"]
        self._definitions = definitions

    def add(self, name: str, kind: str) -> None:
        self.places[name] = len(self.types)
        self.types.append(kind)

    def read_inputs(self, full: str) -> bool:
        """Takes the columns of the rows that a feature reads; False if one has no cell form."""
        definitions = self._definitions
        view, _, name = full.partition(".")
        content = definitions.views[view]
        keys = definitions.entities[content.entity].keys if content.entity else {}
        for column in columns_read(content.features[name]):
            own = input_name(column, view, definitions)
            if own in self.places or not own.startswith(f"{view}:"):
                continue
            declared = content.request.get(column) or Column(type=keys[column])
            read = text_cell if own in self._texts and declared.type == "str" else cell_reader(declared)
            if read is None:
                return False
            self.inputs.append(_Input(column, read))
            self.add(own, declared.type)
        return True


def _compiled(pipeline: FeaturePipeline, full: str, columns: _Columns) -> tuple[_Step, ColumnType] | None:
    definitions = pipeline.definitions
    view, _, name = full.partition(".")
    feature = definitions.views[view].features[name]
    inputs = tuple(columns.places[input_name(column, view, definitions)] for column in columns_read(feature))
    types: list[Any] = [columns.types[place] for place in inputs]
    if not set(types) <= set(_TYPES):
        return None
    if isinstance(feature, FittedFeature):
        states = pipeline.fitted.states if pipeline.fitted is not None else {}
        compiled = fitted_cells(feature, states[full], types) if full in states else None
    else:
        assert not isinstance(feature, HistoryFeature)
        compiled = row_cells(feature, types)
    return None if compiled is None else (_Step(compiled[0], inputs), compiled[1])


def _has_special_columns(pipeline: FeaturePipeline) -> bool:
    """Whether columns have names that the table form gives a meaning of its own, or refuses."""
    definitions = pipeline.definitions
    request = request_columns(definitions, pipeline.features)
    labels = [label.column for label in definitions.labels.values() if isinstance(label, LabelColumn)]
    keys = key_types(definitions, pipeline.features)
    own = {TIME, *keys, *request, *labels}
    hidden = (
        name in own and definitions.feature(full) != Given(column=name)
        for full, name in public_names(pipeline.features).items()
    )
    timed = any(source.time == TIME for source in definitions.sources.values())
    return TIME in request or TIME in keys or timed or any(hidden)
