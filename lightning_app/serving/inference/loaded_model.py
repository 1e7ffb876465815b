"""LoadedModel: one version of a model in memory, from a request to an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lightning_app.packaging.format.errors import BadRowsError, RequestError, RunError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.raw_input import RawBatch
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.packaging.runtime.requests.records import as_records
from lightning_app.packaging.runtime.requests.request_tables import table_of, tables_of
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.values import Values
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.unread_columns import UnreadColumns

if TYPE_CHECKING:
    import polars as pl

Predictions: TypeAlias = "Mapping[str, Any] | pl.DataFrame"
"""Answer to one request: arrays, or lists of arrays, by name with rows first; or a table."""
STORE_DEFAULTS = "store_defaults"
"""Why an answer is degraded that was made from the defaults of features."""


@dataclass(slots=True)
class Answer:
    """Answer to one request.

    Attributes:
        predictions: The predictions.
        notes: What was filled, dropped or replaced, one line each.
        state: State after the request; empty unless the model is recurrent.
        features: Inputs of the model, where they were read from a store; None elsewhere.
        state_text: `state` as the client gives it back; None where it is not returned.
        started: When the call of the model began, by `time.perf_counter`.
        ended: When it ended.
        degraded: Why it is not the answer of the model that was asked, in a word; None if it is.
    """

    predictions: Predictions
    notes: Sequence[str] = ()
    state: StreamState = field(default_factory=dict)
    features: Mapping[str, Values] | None = None
    state_text: str | None = None
    started: float = 0.0
    ended: float = 0.0
    degraded: str | None = None


@dataclass(slots=True)
class Prepared:
    """A request in the form that the ONNX graph takes; several may share one call.

    Attributes:
        values: Input name to checked values, rows first; None if the request has to be answered by itself.
        num_rows: Rows of the call.
        finish: Turns the outputs of these rows, and the state after them, into the answer.
        state: State before the rows; None for the initial state.
        alone: Answers the request by itself, where `values` is None.
    """

    values: Mapping[str, Values] | None
    num_rows: int
    finish: Callable[[Mapping[str, Values], StreamState], Answer]
    state: StreamState | None = None
    alone: Callable[[], Answer] | None = None


class LoadedModel:
    """A verified package under the name and version that answers say.

    Args:
        package: The package.
        name: Name of the model in addresses.
        version: Version in the registry; None for the folder of a package.
        without_store: The same package with the defaults of its features, for when the online store is down.

    Attributes:
        package: The package.
        name: Name of the model in addresses.
        version: Version in the registry; None for the folder of a package.
        digest: sha256 of the package's manifest.
        column_names: Columns and inputs that the package reads.
    """

    def __init__(
        self, package: Package, *, name: str, version: int | None, without_store: Package | None = None
    ) -> None:
        self.package = package
        self.name = name
        self.version = version
        self.digest = package.digest
        self.column_names = _column_names(package.manifest)
        self._predictor = package.predictor
        self._unread = UnreadColumns(package.manifest, self._predictor.raw_input)
        self._without_store = None
        if without_store is not None:
            self._without_store = LoadedModel(without_store, name=name, version=version)

    def prepare(self, request: ModelRequest) -> Prepared:
        """Checks a request, and converts it to inputs of the ONNX graph.

        Args:
            request: The request.

        Raises:
            BadRowsError: Some rows cannot be answered.
            RequestError: The request does not fit the package.
        """
        table = request.table
        if table is None or is_raw(table if isinstance(table, Mapping) else table.columns, self.package.manifest):
            return self._prepare_raw(request)
        if request.at is not None:
            raise RequestError("at: given with a request that holds no raw rows")
        checked = self._predictor.read(table)
        note = None if self._predictor.tokenizer is None else self.package.unknown_note(table)
        notes = request.notes if note is None else (*request.notes, note)

        def finish(outputs: Mapping[str, Values], state: StreamState) -> Answer:
            return Answer(self._predictor.finish(outputs, checked.ids, is_frame=checked.is_frame), notes, state)

        return Prepared(checked.values, request.num_rows, finish, state=request.state)

    @property
    def has_defaults(self) -> bool:
        """Whether requests can be prepared while the online store is down."""
        return self._without_store is not None

    def prepare_without_store(self, request: ModelRequest) -> Prepared:
        """As `prepare`, with the default of each feature that the online store holds; the answer says so.

        Args:
            request: The request.

        Raises:
            BadRowsError: Some rows cannot be answered.
            RequestError: The request does not fit the package.
            StoreError: The store has not been read since the start.
        """
        assert self._without_store is not None
        prepared = self._without_store.prepare(request)
        finish, alone = prepared.finish, prepared.alone
        prepared.finish = lambda outputs, state: _of_defaults(finish(outputs, state))
        if alone is not None:
            prepared.alone = lambda: _of_defaults(alone())
        return prepared

    def _prepare_raw(self, request: ModelRequest) -> Prepared:
        raw_input = self._predictor.raw_input
        if request.turn is not None or request.state is not None:
            raise RequestError("state: given with raw rows, which are answered from all of their history")
        if isinstance(request.table, Mapping) and (records := as_records(request.table)) is not None:
            few = self.package.read_records(records, at=request.at)
            if few is not None:
                return self._of_records(few, [*request.notes, *self._unread.notes(request)])
        table = _as_table(request)
        notes = [*request.notes, *self._unread.notes(request)]
        if not isinstance(table, Mapping):
            notes += self.package.check_contract(table)
        batches = list(self._predictor.prepare_raw(table, at=request.at))
        rejected = {row: reason for batch in batches for row, reason in batch.rejected.items()}
        if rejected:
            raise BadRowsError(rejected, num_rows=request.num_rows)
        notes += dict.fromkeys(note for batch in batches for note in batch.notes)
        assert raw_input is not None

        if len(batches) == 1 and raw_input.batches and batches[0].values:
            (batch,) = batches
            features = batch.values if raw_input.needs is not None else None

            def finish(outputs: Mapping[str, Values], _: StreamState) -> Answer:
                named = self._predictor.finish(outputs, {}, is_frame=False)
                return Answer(raw_input.finish(batch, named), notes, features=features)

            return Prepared(batch.values, len(next(iter(batch.values.values()))), finish)

        def alone() -> Answer:
            answer = _concatenated([self._predictor.answer_raw(batch) for batch in batches])
            if raw_input.needs is None:
                return Answer(answer, notes)
            parts = [batch.values for batch in batches]
            features = {name: _stacked([part[name] for part in parts]) for name in parts[0]}
            return Answer(answer, notes, features=features)

        return Prepared(None, request.num_rows, _no_finish, alone=alone)

    def _of_records(self, batch: RawBatch, notes: list[str]) -> Prepared:
        """A few raw rows, prepared without a table."""
        predictor, raw_input = self._predictor, self._predictor.raw_input
        features = batch.values if raw_input is not None and raw_input.needs is not None else None

        def finish(outputs: Mapping[str, Values], _: StreamState) -> Answer:
            return Answer(predictor.finish_records(batch, outputs), [*notes, *batch.notes], features=features)

        return Prepared(batch.values, len(next(iter(batch.values.values()))), finish)

    def answer(self, requests: Sequence[Prepared]) -> list[Answer | Exception]:
        """Answers requests in as few calls of the ONNX graph as possible.

        Args:
            requests: Requests that this model has prepared.

        Returns:
            An answer to each request, or the error of the requests that fail.
        """
        answers: list[Answer | Exception] = [_NOT_YET] * len(requests)
        shared = [index for index, request in enumerate(requests) if request.values is not None]
        if shared:
            for index, answer in zip(shared, self._answer_together([requests[index] for index in shared]), strict=True):
                answers[index] = answer
        for index, request in enumerate(requests):
            if request.values is None:
                assert request.alone is not None
                try:
                    answers[index] = request.alone()
                except Exception as error:  # of this request alone
                    answers[index] = error
        return answers

    def _answer_together(self, requests: Sequence[Prepared]) -> list[Answer | Exception]:
        try:
            values, state = _joined(requests, self._predictor.initial_state)
            outputs, after = self._predictor.run(values, state)
        except (RunError, BadRowsError) as error:
            if len(requests) > 1:  # find the requests that the model fails on
                return [answer for request in requests for answer in self._answer_together([request])]
            return [error]
        except Exception as error:  # whatever fails, fails for these requests only
            return [error] * len(requests)
        answers: list[Answer | Exception] = []
        start = 0
        for request in requests:
            rows = slice(start, start + request.num_rows)
            start = rows.stop
            try:
                own = {name: value[rows] for name, value in outputs.items()}
                answers.append(request.finish(own, {name: array[rows] for name, array in after.items()}))
            except Exception as error:
                answers.append(error)
        return answers


def _of_defaults(answer: Answer) -> Answer:
    """An answer that was made from defaults, which are nobody's history."""
    answer.degraded = STORE_DEFAULTS
    notes = [note for note in answer.notes if "that it does not know: as one never seen" not in note]
    answer.notes = [*notes, "degraded: the online store is down, its features have their default values"]
    return answer


def _column_names(manifest: Manifest) -> frozenset[str]:
    raw = () if manifest.raw_input is None else manifest.raw_input.columns
    inputs = {name for spec in manifest.inputs for name in (spec.name, *(spec.columns or ()))}
    return frozenset(inputs | {column.name for column in raw})


def _as_table(request: ModelRequest) -> "pl.DataFrame | dict[str, pl.DataFrame]":
    """The table of a request, or its tables, as the preparation of raw rows takes them."""
    if request.tables is not None:
        return tables_of(request.tables)
    assert request.table is not None
    return table_of(request.table) if isinstance(request.table, Mapping) else request.table


def _concatenated(tables: "Sequence[pl.DataFrame]") -> "pl.DataFrame":
    parts = [table for table in tables if len(table)] or tables[:1]
    if len(parts) == 1:
        return parts[0]
    import polars as pl

    return pl.concat(parts)


_NOT_YET = RuntimeError("the request was not answered")


def _no_finish(outputs: Mapping[str, Values], state: StreamState) -> Answer:
    raise AssertionError(outputs, state)


def _joined(
    requests: Sequence[Prepared], initial: Callable[[int], StreamState]
) -> tuple[Mapping[str, Values], StreamState | None]:
    """Values and states of several requests, rows first."""
    first = requests[0].values
    assert first is not None
    if len(requests) == 1:
        return first, requests[0].state
    values: dict[str, Values] = {}
    for name in first:
        parts = [request.values[name] for request in requests]  # type: ignore[index]
        values[name] = _stacked(parts)
    if all(request.state is None for request in requests):
        return values, None
    states = [request.state or initial(request.num_rows) for request in requests]
    return values, {name: np.concatenate([state[name] for state in states]) for name in states[0]}


def _stacked(parts: Sequence[Values]) -> Values:
    """One array if all rows have the same shape, else one per row."""
    first = parts[0]
    if all(isinstance(part, np.ndarray) and part.shape[1:] == first.shape[1:] for part in parts):  # type: ignore[union-attr]
        return np.concatenate(parts)
    return [row for part in parts for row in part]
