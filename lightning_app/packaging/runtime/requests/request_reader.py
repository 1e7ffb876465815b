"""RequestReader: reads requests whose columns are inputs of the ONNX graph, text or node ids."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import BadRowsError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.runtime.frames import as_frame, read_frame
from lightning_app.packaging.runtime.graphs import GraphLayout
from lightning_app.packaging.runtime.requests.checked_request import CheckedRequest
from lightning_app.packaging.runtime.requests.dict_request import read_request
from lightning_app.packaging.runtime.row_ids import as_array, node_inputs, passed_arrays, passed_columns
from lightning_app.packaging.runtime.rows import RowLayout
from lightning_app.packaging.runtime.text.padded_rows import PaddedLayout
from lightning_app.packaging.runtime.text.tokenizer import TEXT, TOKENS, Tokenizer
from lightning_app.packaging.runtime.values import Values, check_values


class RequestReader:
    """Checks requests, and reads their values.

    Args:
        manifest: Manifest of the package.
        layout: How rows are laid out for the graph.
        tokenizer: Tokenizer, if the input is text.
        node_ids: Node ids, if requests name nodes by id.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        layout: GraphLayout | PaddedLayout | RowLayout,
        tokenizer: Tokenizer | None,
        node_ids: NodeIds | None,
    ) -> None:
        self._manifest = manifest
        self._layout = layout
        self._tokenizer = tokenizer
        self._node_ids = node_ids
        self._nodes: Sequence[str] = () if manifest.node_ids is None else tuple(manifest.node_ids.inputs)

    def read(self, request: Any) -> CheckedRequest:
        """Reads a request.

        Args:
            request: A table, or a dict of arrays by input name.

        Raises:
            BadRowsError: Some rows cannot be answered, with a reason for each.
            RequestError: The request does not fit the package.
        """
        frame = as_frame(request)
        if frame is None and not isinstance(request, Mapping):
            raise RequestError(f"request: {type(request).__name__} given, a table or a dict of arrays needed")
        table: Any = request if frame is None else frame
        names = request if frame is None else frame.columns
        passed = passed_columns(names, self._manifest, self._layout.inputs)
        values = self._read(table, passed, is_frame=frame is not None)
        ids: dict[str, Any] = {name: self._ids(values[name], frame is not None) for name in node_inputs(self._manifest)}
        if frame is None:
            ids |= passed_arrays(table, passed, len(next(iter(values.values()))))
        else:
            ids |= {name: frame[name] for name in passed}
        return CheckedRequest(values=values, ids=ids, is_frame=frame is not None)

    def _read(self, request: Any, passed: Collection[str], *, is_frame: bool) -> dict[str, Values]:
        inputs = self._layout.inputs
        names = request.columns if is_frame else request
        read: dict[str, Values] = {}
        reasons: dict[int, str] = {}
        others = set(passed)
        if self._tokenizer is not None and TEXT in names:
            read[TOKENS] = self._tokenizer.read(request, reasons)
            others.add(TEXT)
        for name in self._nodes:
            if name in names:  # a missing input is reported below
                assert self._node_ids is not None
                read[name] = self._node_ids.numbers(name, request[name], reasons)
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

    def _ids(self, numbers: Values, is_frame: bool) -> Any:
        """Ids of nodes; their indices if the package has no ids."""
        assert isinstance(numbers, np.ndarray)
        if self._node_ids is None:
            return numbers
        column = self._node_ids.names(numbers)
        return column if is_frame else as_array(column)
