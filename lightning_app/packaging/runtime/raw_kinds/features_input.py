"""FeaturesInput: a package of a tabular model takes raw rows, and computes their features as training did."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from features.definitions.columns_read import TIME
from features.pipeline import FeaturePipeline
from features.pipeline.needed import event_columns, key_types, request_columns
from features.pipeline.pipeline import number_problems
from features.sources import ROW, Notes
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput

FILE = "features.json"
_TYPES = {"int": "whole number", "float": "number", "bool": "boolean", "str": "text", "datetime": "timestamp"}
_ROWS = 65536
"""Rows of a batch."""


def raw_input_spec(pipeline: FeaturePipeline) -> RawInputSpec:
    """What a client supplies: the columns of the table, their types and units, and how much history.

    Args:
        pipeline: The fitted features.
    """
    definitions, asked = pipeline.definitions, pipeline.rows
    columns: dict[str, RawColumn] = {}
    own = asked.history or asked.entities
    source = None if own is None else definitions.sources[own]
    renamed = {} if source is None else source.keys
    for key, kind in key_types(definitions, pipeline.features).items():
        columns[renamed.get(key, key)] = RawColumn(renamed.get(key, key), _TYPES[kind], "key")
    if source is not None:
        columns[source.time] = RawColumn(source.time, "timestamp", "time", source.time_format)
        for name, length in source.time_plus.items():
            columns[name] = RawColumn(name, "whole number", "time", f"added to {source.time}, in units of {length}")
    elif asked.time is not None:
        columns[asked.time] = RawColumn(asked.time, "timestamp", "time", "ISO 8601")
    if asked.entities is None:
        for name, (kind, unit) in request_columns(definitions, pipeline.features).items():
            columns.setdefault(name, RawColumn(name, _TYPES[kind], "feature", unit or None))
    events = event_columns(definitions, pipeline.features)
    same = [name for name in asked.tables_of(definitions, pl.DataFrame()) if name in events]
    for place in same:
        for name in events[place]:
            if name in definitions.sources[place].columns:
                declared = definitions.sources[place].columns[name]
                columns.setdefault(name, RawColumn(name, _TYPES[declared.type], "history", declared.unit or None))
    needs = ""
    if same:
        needs = " and all events before them: the table is its own history"
    others = sorted(events.keys() - set(same))
    if others:
        needs += f"; beside it a table for {', '.join(others)}"
    what = "events" if asked.entities is not None else "rows"
    return RawInputSpec(
        kind="features", file=FILE, columns=tuple(columns.values()), min_rows=0, rows_of=f"{what}{needs}"
    )


class FeaturesInput(RawInput):
    """Features of the rows of a table, as in training.

    Args:
        pipeline: The fitted features.
        tables: Tables of sources by name, beside the one that is asked.

    Attributes:
        pipeline: The fitted features.
        by_row: Whether each row is answered by itself, so that a table can be read in parts; its answers then have the
            order of the rows, and no names.
        csv: How text files of raw rows are written.
    """

    def __init__(self, pipeline: FeaturePipeline, *, tables: Mapping[str, pl.DataFrame] | None = None) -> None:
        self.pipeline = pipeline
        self.tables = dict(tables or {})
        self.csv = pipeline.rows.csv_format(pipeline.definitions)
        self.by_row = pipeline.rows.entities is None and not self._events and self.csv is None

    @property
    def _events(self) -> Mapping[str, Sequence[str]]:
        return event_columns(self.pipeline.definitions, self.pipeline.features)

    @classmethod
    @override
    def load(cls, content: bytes, manifest: Manifest) -> "FeaturesInput":
        assert manifest.raw_input is not None
        try:
            pipeline = FeaturePipeline.from_json(content)
        except ValueError as error:
            raise PackageError(f"{manifest.raw_input.file}: {error}") from error
        assert pipeline.layout is not None
        sizes = {spec.name: spec.shape[1] for spec in manifest.inputs if len(spec.shape) == 2}
        layout = pipeline.layout
        fitted = {
            "numbers": len(layout.numbers),
            "categories": len(layout.categories),
            "vectors": sum(column.size for column in layout.vectors),
        }
        for name, size in fitted.items():
            if sizes.get(name, 0) != size:
                raise PackageError(
                    f"{manifest.raw_input.file}: {size} {name}, the manifest has {sizes.get(name, 0)}: the fitted "
                    "state of another version"
                )
        return cls(pipeline)

    def with_tables(self, tables: Mapping[str, pl.DataFrame]) -> "FeaturesInput":
        """The same features with tables of further sources.

        Args:
            tables: Tables by name of their source.

        Raises:
            RequestError: The features read no source of that name.
        """
        for name in tables:
            if name not in self._events:
                raise RequestError(
                    f"tables: the features read no source {name!r}, but {', '.join(self._events) or 'none'}"
                )
        return FeaturesInput(self.pipeline, tables=tables)

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        pipeline = self.pipeline
        own = pipeline.rows.tables_of(pipeline.definitions, table)
        missing = sorted(self._events.keys() - self.tables.keys() - own.keys())
        if missing:
            raise RequestError(f"tables: the features read the source {missing[0]!r}; give its table too")
        notes = Notes()
        try:
            table, rejected = _readable(pipeline, table)
            rows = pipeline.ask(table, at=_moments(at), notes=notes)
            tables = {**self.tables, **pipeline.rows.tables_of(pipeline.definitions, table)}
            features = pipeline.features_of(rows, tables, notes=notes)
            numbers = rows[ROW].to_numpy().astype(np.int64)
            assert pipeline.layout is not None
            for position, reason in pipeline.layout.problems(features).items():
                rejected.setdefault(int(numbers[position]), reason)
            kept = ~np.isin(numbers, list(rejected))
            arrays = pipeline.arrays(features.filter(kept))
        except ValueError as error:
            raise RequestError(str(error)) from error
        if "numbers" in arrays:
            gone = np.isnan(arrays["numbers"])
            arrays = {**arrays, "numbers": np.where(gone, np.float32(0), arrays["numbers"]), "missing": gone}
        if pipeline.rows.entities is None:
            for row in np.setdiff1d(np.arange(len(table)), numbers).tolist():
                rejected.setdefault(row, "the row has no time")
        keys = self._keys(rows.filter(kept))
        for start in range(0, max(len(keys), 1), _ROWS):
            part = slice(start, start + _ROWS)
            yield RawBatch(
                values={name: array[part] for name, array in arrays.items()},
                keys=keys[part],
                rejected=rejected if start == 0 else {},
                notes=notes.lines() if start == 0 else (),
                num_asked=len(keys[part]) + (len(rejected) if start == 0 else 0),
                num_rejected=len(rejected) if start == 0 else 0,
            )

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        columns = [pl.Series(name, values) for name, values in answer.items()]
        return pl.DataFrame(columns) if self.by_row else batch.keys.hstack(columns)

    def _keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What tells rows apart: their number, keys, and time."""
        pipeline = self.pipeline
        keys = [key for key in key_types(pipeline.definitions, pipeline.features) if key in rows.columns]
        asked = pipeline.rows
        timed = asked.history or asked.entities or asked.time
        names = [*keys, *([TIME] if timed else [])]
        return rows.select(pl.col(ROW).cast(pl.Int64).alias("row"), *names)


def _moments(at: Any) -> datetime | list[datetime] | None:
    """The time that is asked about.

    Raises:
        ValueError: It is none.
    """
    if at is None or isinstance(at, datetime):
        return at
    if isinstance(at, str):
        try:
            return datetime.fromisoformat(at)
        except ValueError as error:
            raise ValueError(f"at: {at!r} given, a time in ISO 8601 is needed") from error
    if isinstance(at, Sequence):
        return [moment for one in at if isinstance(moment := _moments(one), datetime)]
    raise ValueError(f"at: {type(at).__name__} given, a time is needed")


def _readable(pipeline: FeaturePipeline, table: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, str]]:
    """The table with cells that are no number emptied, and their rows with the reason."""
    rejected: dict[int, str] = {}
    for name, reasons, mended in number_problems(pipeline, table):
        table = table.with_columns(mended.alias(name))
        for row, reason in reasons.items():
            rejected.setdefault(row, reason)
    return table, rejected
