"""CheckedRequest: the values of a request, ready for the ONNX graph, and the ids of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_app.packaging.runtime.values import Values


@dataclass(frozen=True)
class CheckedRequest:
    """A request that `Predictor.read` has checked.

    Attributes:
        values: Input name to values in the dtype of the input, rows first.
        ids: Ids of the rows by name, as the answer shows them.
        is_frame: Whether the request is a table, which is answered by a table.
    """

    values: Mapping[str, Values]
    ids: Mapping[str, Any]
    is_frame: bool

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values.values())))
