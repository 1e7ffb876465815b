"""Predictor: answers requests with an ONNX graph; shared by scoring, serving and notebooks."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging.format.errors import BadRowsError, PackageError, RequestError, RunError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.frames import as_frame, write_frame
from lightning_app.packaging.runtime.graphs import GraphLayout
from lightning_app.packaging.runtime.labels import decided
from lightning_app.packaging.runtime.model_call import ModelCall
from lightning_app.packaging.runtime.raw_input import RawAnswer, RawBatch, RawInput
from lightning_app.packaging.runtime.requests.checked_request import CheckedRequest
from lightning_app.packaging.runtime.requests.dense_request import DenseReader
from lightning_app.packaging.runtime.requests.failing_rows import failing_rows
from lightning_app.packaging.runtime.requests.raw_request import check_raw_columns, check_tables, is_raw
from lightning_app.packaging.runtime.requests.records import as_columns, as_records
from lightning_app.packaging.runtime.requests.request_reader import RequestReader
from lightning_app.packaging.runtime.requests.request_tables import table_of, tables_of
from lightning_app.packaging.runtime.row_ids import bounded
from lightning_app.packaging.runtime.rows import RowLayout, StreamState
from lightning_app.packaging.runtime.session import open_session
from lightning_app.packaging.runtime.text.padded_rows import PaddedLayout
from lightning_app.packaging.runtime.text.tokenizer import Tokenizer
from lightning_app.packaging.runtime.values import Values

if TYPE_CHECKING:
    import polars as pl


class Predictor:
    """An ONNX graph with the signature of its manifest.

    A request is a table (a polars DataFrame, or any table with the Arrow interface) or a dict of arrays by input name;
    the answer is a polars DataFrame or a dict of arrays. Rows keep their order.

    Args:
        manifest: Manifest of the package.
        model: Content of the ONNX file.
        tokenizer: Tokenizer, if the input is text.
        node_ids: Node ids, if requests name nodes by id.
        raw_input: Preparation of raw rows, if the package answers them.
        num_threads: Threads per call.

    Attributes:
        manifest: Manifest of the package.
        tokenizer: Tokenizer, if the input is text.
        node_ids: Node ids, if requests name nodes by id.
        raw_input: Preparation of raw rows, if the package answers them.
        session: ONNX Runtime session.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        model: bytes,
        tokenizer: Tokenizer | None = None,
        node_ids: NodeIds | None = None,
        raw_input: RawInput | None = None,
        num_threads: int = 1,
    ) -> None:
        manifest.check()
        if (tokenizer is None) != (manifest.tokenizer is None):
            raise PackageError("tokenizer: the manifest names one that is not there, or none where there is one")
        if (node_ids is None) != (manifest.node_ids is None):
            raise PackageError("node_ids: the manifest names ids that are not there, or none where there are some")
        if (raw_input is None) != (manifest.raw_input is None):
            raise PackageError("raw_input: the manifest names one that is not there, or none where there is one")
        self.manifest = manifest
        self.raw_input = raw_input
        self.tokenizer = tokenizer
        self.node_ids = node_ids
        self.session = open_session(model, manifest, num_threads=num_threads)
        self._name_columns()
        self._layout = _layout_of(manifest)
        self._dense = DenseReader.find(manifest)
        self._decisions = manifest.all_decisions
        self._call = ModelCall(self.session, manifest)
        self._reader = RequestReader(manifest, layout=self._layout, tokenizer=tokenizer, node_ids=node_ids)

    def _name_columns(self) -> None:
        raw = self.manifest.raw_input
        self._input_names = {spec.name for spec in self.manifest.inputs}
        self._needed_columns = {column.name for column in raw.columns if column.required} if raw else set()
        # Names of a request that can only hold inputs of the graph.
        tables = set() if self.raw_input is None else set(self.raw_input.request_tables)
        may_be_raw = is_raw(self._input_names, self.manifest) or bool(self._input_names & tables)
        self._plain_names = set() if may_be_raw else self._input_names

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of one row of a request; for graphs, of one graph."""
        return self._layout.inputs

    def with_raw_input(self, raw_input: RawInput) -> "Predictor":
        """The same model, and the same session, with another preparation of raw rows.

        Args:
            raw_input: The preparation; if it says what a client supplies, the manifest of the predictor says so too.
        """
        other = copy(self)
        other.raw_input = raw_input
        if raw_input.needs is not None:
            other.manifest = replace(self.manifest, raw_input=raw_input.needs)
            other._name_columns()
        return other

    def predict(self, request: Any, *, at: Any = None) -> Any:
        """Predicts every row of a request; streams start from their initial state.

        Args:
            request: A table, or a dict of arrays by input name. Text is a column, or a list, named `text`. A package
                with `raw_input` takes a table, or a dict, of the columns listed there too.
            at: Which answers to raw rows are asked for, see `predict_raw`.

        Returns:
            A polars DataFrame for a table, a dict for a dict: arrays, or lists of arrays if rows differ in size. For a
            classifier: `label`, its `probability`, and the `probabilities` of all classes in the order of the
            manifest's `labels`; of several labels that may hold at once, `labels`, a list per row. Row ids come first:
            `node_id`, or `source` and `target`, of a package that contains its graph; otherwise the columns of
            `PASSED` that the request has. Raw rows are answered by a table with the names and timestamps of the
            request; what was filled or dropped is said by a warning.

        Raises:
            BadRowsError: Some rows cannot be answered, with a reason for each; no row was answered.
            RequestError: The request does not fit the package.
        """
        if self._dense is not None and at is None and type(request) is dict and request.keys() == self._plain_names:
            dense = self._dense.read(request)
            if dense is not None:
                return self.finish(self.run(dense, None)[0], {}, is_frame=False)
        if self.raw_input is not None:
            if isinstance(request, Mapping) and (records := as_records(request)) is not None:
                batch = self.read_records(records, at=at)
                if batch is not None:
                    return self.answer_records(batch)
            frame = as_frame(request)
            if isinstance(request, Mapping) and set(request) & set(self.raw_input.request_tables):
                return self._predict_raw_table(tables_of(request), at)
            if frame is None and isinstance(request, list | tuple):
                raise RequestError(
                    "request: a list of rows given, a table or a dict of columns needed, for instance "
                    "polars.DataFrame(rows)"
                )
            names = request if frame is None else frame.columns
            if isinstance(names, Collection) and is_raw(names, self.manifest):
                return self._predict_raw_dict(request, at) if frame is None else self._predict_raw_table(frame, at)
        if at is not None:
            raise RequestError("at: given with a request that holds no raw rows")
        return self.advance(request, None)[0]

    def predict_raw(self, table: "pl.DataFrame | Mapping[str, pl.DataFrame]", *, at: Any = None) -> Iterator[RawAnswer]:
        """Predicts raw rows in parts, rejected rows beside the answers.

        Args:
            table: Raw rows, with the columns of `manifest.raw_input`; tables by name where it has several.
            at: Which answers are asked for, as the kind of the raw input defines it. For `series`: `last` (the
                default) forecasts after the last row of each series, `all` after every row with enough history, a
                list of timestamps after the rows of those times.

        Yields:
            Answers to consecutive parts of the table.

        Raises:
            RequestError: The package takes no raw rows, or the table does not fit.
        """
        for batch in self.prepare_raw(table, at=at):
            yield RawAnswer(
                table=self.answer_raw(batch),
                rejected=batch.rejected,
                notes=batch.notes,
                counts=batch.counts,
                num_asked=batch.num_asked,
                num_rejected=batch.num_rejected,
            )

    def prepare_raw(self, table: "pl.DataFrame | Mapping[str, pl.DataFrame]", *, at: Any = None) -> Iterator[RawBatch]:
        """The first step of `predict_raw`: turns raw rows into inputs of the ONNX graph.

        Args:
            table: As in `predict_raw`.
            at: As in `predict_raw`.

        Raises:
            RequestError: The package takes no raw rows, or the table does not fit.
        """
        if self.raw_input is None:
            raise RequestError(f"request: {self.manifest.name} takes no raw rows, its manifest has no raw_input")
        if isinstance(table, Mapping):
            check_tables(table, self.manifest, self.raw_input)
            for name in self.raw_input.request_tables:
                check_raw_columns(table[name].columns, self.manifest, table=name)
            return self.raw_input.prepare_tables(table, at)
        if not self.raw_input.request_tables:
            check_raw_columns(table.columns, self.manifest)
        return self.raw_input.prepare(table, at)

    def answer_raw(self, batch: RawBatch) -> "pl.DataFrame":
        """The other steps of `predict_raw`: asks the ONNX graph for a batch, and names its answers.

        Args:
            batch: A batch that `prepare_raw` yielded.
        """
        assert self.raw_input is not None
        answer = self.raw_input.answer(batch, self.advance) if batch.values else self._no_answer()
        return self.raw_input.finish(batch, answer)

    def read_records(self, records: Sequence[Mapping[str, Any]], *, at: Any = None) -> RawBatch | None:
        """The first step of predicting a few raw rows without a table; `run` and `finish_records` are the others.

        Args:
            records: Cells by column, as plain Python values.
            at: As in `predict_raw`.

        Returns:
            Values for `run`, which rows of several requests may share; None if `predict_raw` has to answer, or to
            refuse, these rows as a table.
        """
        raw = self.raw_input
        if raw is None or not raw.batches or not records or not self._needed_columns <= records[0].keys():
            return None
        if not self._input_names.isdisjoint(records[0]):
            return None
        return raw.prepare_records(records, at)

    def answer_records(self, batch: RawBatch) -> dict[str, Any]:
        """Answers a batch of `read_records` by itself, as `predict` does.

        Args:
            batch: What `read_records` returned.
        """
        for note in batch.notes:
            warnings.warn(f"{self.manifest.name}: {note}", stacklevel=3)
        return as_columns(self.finish_records(batch, self.run(batch.values, None)[0]))

    def finish_records(self, batch: RawBatch, answer: Mapping[str, Values]) -> dict[str, Any]:
        """The last step of predicting a few raw rows.

        Args:
            batch: What `read_records` returned.
            answer: Output name to values; the rows of the batch.

        Returns:
            Name to the values of all rows: keys as lists, then predictions.
        """
        assert self.raw_input is not None
        return self.raw_input.finish_records(batch, self.finish(answer, {}, is_frame=False))

    def _no_answer(self) -> dict[str, Values]:
        empty: dict[str, Values] = {
            spec.name: np.zeros([size if isinstance(size, int) else 0 for size in spec.shape], dtype=spec.dtype)
            for spec in self.manifest.outputs
        }
        return self.finish(empty, {}, is_frame=False)  # type: ignore[no-any-return]

    def _predict_raw_table(self, table: "pl.DataFrame | Mapping[str, pl.DataFrame]", at: Any) -> "pl.DataFrame":
        import polars as pl

        answers = list(self.predict_raw(table, at=at))
        rejected = {row: reason for answer in answers for row, reason in answer.rejected.items()}
        if rejected:
            assert self.raw_input is not None
            rows = table[self.raw_input.request_tables[0]] if isinstance(table, Mapping) else table
            raise BadRowsError(rejected, num_rows=len(rows))
        for note in dict.fromkeys(note for answer in answers for note in answer.notes):
            warnings.warn(f"{self.manifest.name}: {note}", stacklevel=4)
        parts = [answer.table for answer in answers if len(answer.table)] or [answers[0].table]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def _predict_raw_dict(self, request: Mapping[str, Any], at: Any) -> dict[str, Any]:
        table = table_of(request)
        return {column.name: column.to_numpy() for column in self._predict_raw_table(table, at)}

    def advance(self, request: Any, state: StreamState | None) -> tuple[Any, StreamState]:
        """Predicts the next chunk of every stream.

        Args:
            request: As in `predict`, one row per stream.
            state: State that the previous call returned; None starts all streams from their initial state.

        Returns:
            answer: As in `predict`.
            state: State for the next chunk; empty if the layout is not `stream`.

        Raises:
            BadRowsError: Some rows cannot be answered, with a reason for each; no row was answered.
            RequestError: The request or the state does not fit the package.
        """
        checked = self.read(request)
        answer, after = self.run(checked.values, state)
        return self.finish(answer, checked.ids, is_frame=checked.is_frame), after

    def read(self, request: Any) -> CheckedRequest:
        """The first step of `advance`: checks a request, and reads its values.

        Args:
            request: As in `predict`, with inputs of the ONNX graph.

        Raises:
            BadRowsError: Some rows cannot be answered, with a reason for each.
            RequestError: The request does not fit the package.
        """
        if self._dense is not None and isinstance(request, dict):
            dense = self._dense.read(request)
            if dense is not None:
                return CheckedRequest(values=dense, ids={}, is_frame=False)
        return self._reader.read(request)

    def run(self, values: Mapping[str, Values], state: StreamState | None) -> tuple[dict[str, Values], StreamState]:
        """The second step of `advance`: asks the ONNX graph; rows of several requests may be joined.

        Args:
            values: Values that `read` has checked, rows first.
            state: State of each row; None takes the initial state.

        Returns:
            answer: Output name to values, in the order of the rows.
            state: State after these rows; empty if the layout is not `stream`.

        Raises:
            BadRowsError: The model fails on some rows, with a reason for each; no row was answered.
            RequestError: The state does not fit the package.
        """
        try:
            return self._layout.answer(values, state, self._call)
        except RunError as error:
            if state:
                raise
            reasons = failing_rows(values, error, lambda rows: self._layout.answer(rows, None, self._call))
            raise BadRowsError(reasons, num_rows=len(next(iter(values.values())))) from error

    def initial_state(self, num_rows: int) -> StreamState:
        """State of streams before their first chunk; empty if the layout is not `stream`.

        Args:
            num_rows: Number of streams.
        """
        return self._layout.initial(num_rows)

    def finish(self, answer: Mapping[str, Values], ids: Mapping[str, Any], *, is_frame: bool) -> Any:
        """The last step of `advance`: names classes, and puts the ids of rows first.

        Args:
            answer: Output name to values, rows first; the rows of one request.
            ids: Ids of these rows, as `read` returned them.
            is_frame: Whether a table is answered, not a dict.
        """
        first = dict(ids)
        for decision in self._decisions:
            first |= decided(answer, decision, is_frame=is_frame)
        return write_frame({**first, **answer}) if is_frame else {**first, **answer}


def _layout_of(manifest: Manifest) -> GraphLayout | PaddedLayout | RowLayout:
    if manifest.layout == "graphs":
        return GraphLayout(manifest)
    return PaddedLayout(manifest) if PaddedLayout.fits(manifest) else RowLayout(bounded(manifest))
