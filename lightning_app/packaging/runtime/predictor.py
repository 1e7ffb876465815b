"""Answers requests: the one predictor that scoring, serving and notebooks share."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import BadRowsError, PackageError, RequestError, RunError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.frames import as_frame, read_frame, write_frame
from lightning_app.packaging.runtime.graphs import GraphLayout
from lightning_app.packaging.runtime.labels import LABEL, named, named_column, with_likeliest
from lightning_app.packaging.runtime.requests import read_request
from lightning_app.packaging.runtime.row_ids import as_array, bounded, node_inputs, passed_arrays, passed_columns
from lightning_app.packaging.runtime.rows import RowLayout, State
from lightning_app.packaging.runtime.session import open_session
from lightning_app.packaging.runtime.tokenizer import TEXT, TOKENS, Tokenizer
from lightning_app.packaging.runtime.values import Array, Values, check_values

_MOST_CALLS = 4096
"""Of the search for the rows that a model fails on."""


class Predictor:
    """An ONNX graph, and what its manifest says about its inputs and answers.

    A request is a table (a polars DataFrame, or any with the Arrow interface) or a dict of arrays by name of an input;
    the answer is a polars DataFrame or a dict of arrays. Rows keep their order.

    Args:
        manifest: Signature, labels, layout.
        model: Content of the ONNX file.
        tokenizer: Where the input is text.
        node_ids: Where nodes are asked by id.
        num_threads: Threads of one call.

    Attributes:
        manifest: Signature, labels, layout.
        tokenizer: Where the input is text.
        node_ids: Where nodes are asked by id.
        session: The ONNX Runtime session.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        model: bytes,
        tokenizer: Tokenizer | None = None,
        node_ids: NodeIds | None = None,
        num_threads: int = 1,
    ) -> None:
        manifest.check()
        if (tokenizer is None) != (manifest.tokenizer is None):
            raise PackageError("tokenizer: the manifest names one that is not there, or none where there is one")
        if (node_ids is None) != (manifest.node_ids is None):
            raise PackageError("node_ids: the manifest names ids that are not there, or none where there are some")
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.node_ids = node_ids
        self.session = open_session(model, manifest, num_threads=num_threads)
        self._layout = GraphLayout(manifest) if manifest.layout == "graphs" else RowLayout(bounded(manifest))
        self._taken = [tensor.name for tensor in self.session.get_inputs()]
        self._shapes = {spec.name: spec.shape for spec in manifest.outputs}
        self._shapes.update((state.output, state.shape) for state in manifest.state)
        self._returned = [tensor.name for tensor in self.session.get_outputs()]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a row of a request has: of graphs, what one graph has."""
        return self._layout.inputs

    def predict(self, request: Any) -> Any:
        """Answers every row of a request; a stream starts from its initial state.

        Args:
            request: A table, or a dict of arrays by name of an input. Text is a column, or a list, named `text`.

        Returns:
            A polars DataFrame for a table; a dict for a dict: arrays, or lists of arrays where rows differ in size. An
            answer that is a class is a `label`, its `probability`, and the `probabilities` of all, in the order of the
            manifest's `labels`. Before them stand the ids of the rows: `node_id`, or `source` and `target`, of a
            package that knows its graph; else those of `PASSED` that the request has.

        Raises:
            BadRowsError: Some rows cannot be answered, with the reason for each; none was.
            RequestError: The request does not fit.
        """
        return self.advance(request, None)[0]

    def advance(self, request: Any, state: State | None) -> tuple[Any, State]:
        """Answers the next chunk of every stream.

        Args:
            request: As of `predict`; a row per stream.
            state: As the call before returned it; None starts all streams anew.

        Returns:
            answer: As of `predict`.
            state: To give with the next chunk; empty where the layout is no stream.

        Raises:
            BadRowsError: Some rows cannot be answered, with the reason for each; none was.
            RequestError: The request or the state does not fit.
        """
        frame = as_frame(request)
        if frame is None and not isinstance(request, Mapping):
            raise RequestError(f"request: {type(request).__name__} given, a table or a dict of arrays needed")
        given: Any = request if frame is None else frame
        names = request if frame is None else frame.columns
        passed = passed_columns(names, self.manifest, self._layout.inputs)
        values = self._read(given, passed, is_frame=frame is not None)
        try:
            answer, after = self._layout.answer(values, state, self._run)
        except RunError as error:
            if state:
                raise
            reasons = self._failing(values, error)
            raise BadRowsError(reasons, num_rows=len(next(iter(values.values())))) from error
        ids: dict[str, Any] = {name: self._ids(values[name], frame is not None) for name in node_inputs(self.manifest)}
        if frame is None:
            ids |= passed_arrays(given, passed, len(next(iter(values.values()))))
        else:
            ids |= {name: frame[name] for name in passed}
        return self._finish(answer, ids, is_frame=frame is not None), after

    def _read(self, request: Any, passed: Collection[str], *, is_frame: bool) -> dict[str, Values]:
        inputs = self._layout.inputs
        names = request.columns if is_frame else request
        read: dict[str, Values] = {}
        reasons: dict[int, str] = {}
        others = set(passed)
        if self.tokenizer is not None and TEXT in names:
            read[TOKENS] = self.tokenizer.read(request, reasons)
            others.add(TEXT)
        for name in () if self.manifest.node_ids is None else self.manifest.node_ids.inputs:
            if name in names:  # else it is missed below
                assert self.node_ids is not None
                read[name] = self.node_ids.numbers(name, request[name], reasons)
                others.add(name)
        inputs = tuple(spec for spec in inputs if spec.name not in read)
        if is_frame:
            values, bad = read_frame(request.drop(others), inputs)
            reasons = {**bad, **reasons}
        else:
            values = read_request({key: request[key] for key in request if key not in others}, inputs, reasons)
        checked = check_values({**read, **values}, self._layout.inputs, reasons, least_size=self._layout.least_size)
        self._layout.check(checked, reasons)
        if reasons:
            raise BadRowsError(reasons, num_rows=len(next(iter(checked.values()))))
        return checked

    def _failing(self, values: Mapping[str, Values], error: RunError) -> dict[int, str]:
        """Rows that the model fails on, by halves, with the reason; raises the error where it is no few rows' fault."""
        reasons: dict[int, str] = {}
        calls = 0
        parts = [(0, len(next(iter(values.values()))), error)]
        while parts:
            start, stop, why = parts.pop()
            if stop - start == 1:
                reasons[start] = str(why)
                continue
            middle = (start + stop) // 2
            for half in ((start, middle), (middle, stop)):
                calls += 1
                try:
                    self._layout.answer({name: value[slice(*half)] for name, value in values.items()}, None, self._run)
                except RunError as found:
                    parts.append((*half, found))
            if calls > _MOST_CALLS:
                raise error
        if not reasons:
            raise error
        return reasons

    def _ids(self, numbers: Values, is_frame: bool) -> Any:
        """What nodes are called; by number where the package has no ids."""
        assert isinstance(numbers, np.ndarray)
        if self.node_ids is None:
            return numbers
        column = self.node_ids.names(numbers)
        return column if is_frame else as_array(column)

    def _finish(self, answer: dict[str, Values], ids: Mapping[str, Any], *, is_frame: bool) -> Any:
        labels = self.manifest.labels
        first = dict(ids)
        if labels is not None:
            answer = with_likeliest(answer)
            places = answer.pop(LABEL)
            first[LABEL] = named_column(places, labels) if is_frame else named(places, labels)
        return write_frame({**first, **answer}) if is_frame else {**first, **answer}

    def _run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        try:
            found = self.session.run(self._returned, {name: feed[name] for name in self._taken})
        except Exception as error:  # of ONNX Runtime, which has no class for them
            raise RunError(f"the model cannot answer it: {str(error).strip()[:500]}") from error
        answer = dict(zip(self._returned, found, strict=True))
        for name, shape in self._shapes.items():
            sizes = answer[name].shape
            fits = len(sizes) == len(shape) and all(
                size == wanted or isinstance(wanted, str) for size, wanted in zip(sizes, shape, strict=True)
            )
            if not fits:
                raise PackageError(
                    f"{name}: the graph answers with shape {list(sizes)}, the manifest has {list(shape)}"
                )
        return answer
