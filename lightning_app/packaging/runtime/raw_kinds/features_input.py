"""FeaturesInput: a package of a tabular model takes raw rows, and computes their features as training did."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import override

from features.definitions.cells import TableNeededError
from features.definitions.columns_read import TIME
from features.definitions.messages import nearest
from features.pipeline import FeaturePipeline, RowPlan
from features.pipeline.asked_rows import with_keys
from features.pipeline.needed import event_columns, key_types
from features.pipeline.number_cells import number_problems
from features.pipeline.row_times import is_event_log
from features.pipeline.stored_history import StoredHistory
from features.pipeline.stored_rows import FewRows
from features.sources import ROW, Notes
from features.store import OnlineStore
from features.text.token_rows import FastTokenizer
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.runtime.raw_input import FurtherTable, RawBatch, RawInput
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec, stored_input_spec
from lightning_app.packaging.runtime.raw_kinds.text_tokens import longest_tokens, token_inputs, tokenizer_of
from lightning_app.packaging.runtime.requests.records import MOST_RECORDS
from lightning_app.packaging.runtime.values import Values

_ROWS = 65536
"""Rows of a batch."""
_PLAIN = {str, int, float, bool, datetime, type(None)}


class FeaturesInput(RawInput):
    """Features of the rows of a table, as in training.

    Args:
        pipeline: The fitted features.
        tables: Tables of sources by name, beside the one that is asked.
        stored: Where the history comes from, if not from tables.
        tokenizer: Of the text, if one of the features is a text.

    Attributes:
        pipeline: The fitted features.
        tables: Tables of sources by name, beside the one that is asked.
        by_row: Whether each row is answered by itself, so that a table can be read in parts; its answers then have the
            order of the rows, and no names.
        csv: How text files of raw rows are written.
        tokenizer: Of the text, if one of the features is a text.
        reads_texts: Whether one of the features is a text.
    """

    def __init__(
        self,
        pipeline: FeaturePipeline,
        *,
        tables: Mapping[str, pl.DataFrame] | None = None,
        stored: StoredHistory | None = None,
        tokenizer: FastTokenizer | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.tokenizer = tokenizer
        self.reads_texts = tokenizer is not None
        self.tables = dict(tables or {})
        self._stored = stored
        self._stored_rows = None if stored is None else stored.few_rows()
        self._plan: RowPlan | None = None
        definitions, rows = pipeline.definitions, pipeline.rows
        if stored is not None:
            self.needs = self._spec = stored_input_spec(pipeline)
            self.csv = rows.csv if rows.source(definitions) is None else None  # not that of the events
            self.by_row = False
            return
        self._spec = raw_input_spec(pipeline)
        self.csv = rows.csv_format(definitions)
        if self.rows_alone:
            self._plan = RowPlan.of(pipeline)
        self.by_row = rows.entities is None and not self._events and self.csv is None
        self.further = {
            name: FurtherTable(csv=definitions.sources[name].csv, columns=columns)
            for name, columns in self._events.items()
            if name not in self._own
        }

    @property
    def rows_alone(self) -> bool:
        """Whether the answer to a row depends on no other row of its table."""
        rows = self.pipeline.rows
        source = rows.source(self.pipeline.definitions)
        return rows.entities is None and not self._events and not (source is not None and is_event_log(source))

    @property
    def _timed(self) -> bool:
        """Whether answers have a time."""
        asked = self.pipeline.rows
        return bool(asked.history or asked.entities or asked.time or self._stored is not None)

    @property
    def _own(self) -> Collection[str]:
        """Sources that the table that is asked is itself."""
        return self.pipeline.rows.tables_of(self.pipeline.definitions, pl.DataFrame())

    @property
    def _events(self) -> Mapping[str, Sequence[str]]:
        return event_columns(self.pipeline.definitions, self.pipeline.features)

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "FeaturesInput":
        assert manifest.raw_input is not None
        try:
            pipeline = FeaturePipeline.from_json(files[manifest.raw_input.file])
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
        return cls(pipeline, tokenizer=tokenizer_of(layout, files, manifest))

    @override
    def with_tables(self, tables: Mapping[str, pl.DataFrame]) -> "FeaturesInput":
        if self._stored is not None and tables:
            raise RequestError(f"tables: {', '.join(tables)} given beside a store, which holds the whole history")
        for name in tables:
            if name in self._own and name in self._events:
                raise RequestError(f"tables: {name!r} given, but the request itself is the table of this source")
            if name not in self.further:
                raise RequestError(f"tables: the features read no further source {name!r}{nearest(name, self.further)}")
        return FeaturesInput(self.pipeline, tables={**self.tables, **tables}, tokenizer=self.tokenizer)

    @override
    def with_store(self, store: OnlineStore, *, namespace: str = "default") -> "FeaturesInput":
        if self.tables:
            raise RequestError(f"store: given beside tables of {', '.join(self.tables)}; give either")
        try:
            stored = StoredHistory(self.pipeline, store, namespace=namespace)
            return FeaturesInput(self.pipeline, stored=stored, tokenizer=self.tokenizer)
        except ValueError as error:
            raise RequestError(str(error)) from error

    @override
    def prepare_records(self, records: Sequence[Mapping[str, Any]], at: Any) -> RawBatch | None:
        if not 0 < len(records) <= MOST_RECORDS or not _plain_table(records):
            return None
        notes = Notes()
        few = self._few_rows(records, at, notes)
        if few is None:
            return None
        keys: dict[str, Sequence[Any]] = {} if self.by_row else {"row": list(range(len(records))), **few.keys}
        if not self.by_row and self._timed:
            keys[TIME] = few.times
        values = {**_with_missing(few.arrays), **self._tokens(few.texts, notes)}
        return RawBatch(values=values, keys=keys, notes=notes.lines(), counts=notes.counts, num_asked=len(records))

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        if (batch := self._few(table, at)) is not None:
            yield batch
            return
        pipeline = self.pipeline
        notes = Notes()
        try:
            table, rejected = _readable(pipeline, table if self.needs is None else _taken(table, self.needs))
            rows, features = self._features(table, _moments(at), notes)
            numbers = rows[ROW].to_numpy().astype(np.int64)
            assert pipeline.layout is not None
            for position, reason in pipeline.layout.problems(features).items():
                rejected.setdefault(int(numbers[position]), reason)
            kept = ~np.isin(numbers, list(rejected))
            features = features.filter(kept)
            arrays = pipeline.arrays(features)
            texts = pipeline.texts(features) if pipeline.layout.texts else []
        except ValueError as error:
            raise RequestError(str(error)) from error
        values = {**_with_missing(arrays), **self._tokens(texts, notes)}
        if pipeline.rows.entities is None or self._stored is not None:
            for row in np.setdiff1d(np.arange(len(table)), numbers).tolist():
                rejected.setdefault(row, "the row has no time")
        keys = self._keys(rows.filter(kept))
        for start in range(0, max(len(keys), 1), _ROWS):
            part = slice(start, start + _ROWS)
            yield RawBatch(
                values={name: value[part] for name, value in values.items()},
                keys=keys[part],
                rejected=rejected if start == 0 else {},
                notes=notes.lines() if start == 0 else (),
                counts=notes.counts if start == 0 else {},
                num_asked=len(keys[part]) + (len(rejected) if start == 0 else 0),
                num_rejected=len(rejected) if start == 0 else 0,
            )

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        columns = [pl.Series(name, values) for name, values in answer.items()]
        return pl.DataFrame(columns) if self.by_row else batch.keys.hstack(columns)

    @override
    def largest_row(self, row: Mapping[str, Values]) -> Mapping[str, Values] | None:
        return None if self.tokenizer is None else longest_tokens(self.tokenizer, row)

    def _few_rows(self, records: Sequence[Mapping[str, Any]], at: Any, notes: Notes) -> FewRows | None:
        """Features of a few rows, in plain Python; None if the table form has to answer, or to refuse."""
        plan, stored = self._plan, self._stored_rows
        try:
            if stored is not None:
                return stored.read(records, _moment(at), notes=notes)
            if plan is None:
                return None
            records = plan.with_keys(records)
            times = plan.times_asked(records, _moment(at))
            features = plan.features(records, times, [()] * len(records))
        except (TableNeededError, ValueError):
            return None
        keys = {key: [record[key] for record in records] for key in plan.keys if key in records[0]}
        return FewRows(features.arrays, times, keys, features.texts)

    def _few(self, table: pl.DataFrame, at: Any) -> RawBatch | None:
        """A batch of a small table, in plain Python; None if the table form has to answer."""
        if (self._plan is None and self._stored_rows is None) or not 0 < len(table) <= MOST_RECORDS:
            return None
        read = [column.name for column in self._spec.columns if column.name in table.columns]
        notes = Notes()
        few = self._few_rows(table.select(read).to_dicts() if read else [{}] * len(table), at, notes)
        if few is None:
            return None
        keys = pl.DataFrame({"row": pl.int_range(len(table), eager=True)})
        if not self.by_row:
            named = with_keys(self.pipeline.rows.source(self.pipeline.definitions), table)
            keys = keys.hstack(named.select(list(few.keys)))
            if self._timed:
                zone = None if few.times[0].tzinfo is None else "UTC"
                keys = keys.with_columns(pl.Series(TIME, few.times, dtype=pl.Datetime("us", zone)))
        values = {**_with_missing(few.arrays), **self._tokens(few.texts, notes)}
        return RawBatch(values=values, keys=keys, notes=notes.lines(), counts=notes.counts, num_asked=len(table))

    def _tokens(self, texts: Sequence[str], notes: Notes) -> Mapping[str, Values]:
        """Inputs of the network for texts; nothing if no feature is one."""
        if self.tokenizer is None:
            return {}
        assert self.pipeline.layout is not None
        return token_inputs(self.tokenizer, texts, name=self.pipeline.layout.texts[0], notes=notes)

    def _features(
        self, table: pl.DataFrame, at: datetime | list[datetime] | None, notes: Notes
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that are asked about, and their features."""
        pipeline, stored = self.pipeline, self._stored
        if stored is not None:
            rows = stored.ask(table, at=at, notes=notes)
            return rows, stored.features_of(rows, notes=notes)
        if missing := [name for name in self.further if name not in self.tables]:
            raise RequestError(
                f"tables: the features read the source {missing[0]!r}, and it is not given; give its table "
                f"(`score --table {missing[0]}=FILE`, `Package.with_tables`)"
            )
        rows = pipeline.ask(table, at=at, notes=notes)
        tables = {**self.tables, **pipeline.rows.tables_of(pipeline.definitions, table)}
        return rows, pipeline.features_of(rows, tables, notes=notes)

    def _keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What tells rows apart: their number, keys, and time."""
        pipeline = self.pipeline
        keys = [key for key in key_types(pipeline.definitions, pipeline.features) if key in rows.columns]
        names = [*keys, *([TIME] if self._timed else [])]
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


def _moment(at: Any) -> datetime | None:
    """The one time that is asked about; raises `TableNeededError` if there are several."""
    moments = _moments(at)
    if not isinstance(moments, list):
        return moments
    if len(moments) != 1:
        raise TableNeededError
    return moments[0]


def _plain_table(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether records have the same columns, and each column cells of one plain type."""
    if len(records) == 1:
        return set(map(type, records[0].values())) <= _PLAIN
    names = records[0].keys()
    if any(record.keys() != names for record in records):
        return False
    kinds = [{type(record[name]) for record in records} for name in names]
    return all(kind <= _PLAIN and len(kind - {type(None)}) <= 1 for kind in kinds)


def _with_missing(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of the network: zeros for missing numbers, and which ones are missing."""
    if "numbers" not in arrays:
        return dict(arrays)
    gone = np.isnan(arrays["numbers"])
    return {**arrays, "numbers": np.where(gone, np.float32(0), arrays["numbers"]), "missing": gone}


def _taken(table: pl.DataFrame, spec: RawInputSpec) -> pl.DataFrame:
    """The columns of a table that are read."""
    return table.select(column.name for column in spec.columns if column.name in table.columns)


def _readable(pipeline: FeaturePipeline, table: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, str]]:
    """The table with cells that are no number emptied, and their rows with the reason."""
    rejected: dict[int, str] = {}
    for name, reasons, mended in number_problems(pipeline, table):
        table = table.with_columns(mended.alias(name))
        for row, reason in reasons.items():
            rejected.setdefault(row, reason)
    return table, rejected
