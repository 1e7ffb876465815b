"""LastGraph: what was computed from the edges of a graph, for as long as they exist."""

from typing import Any, Generic, TypeVar
from weakref import ref

from torch import Tensor

Computed = TypeVar("Computed")


class LastGraph(Generic[Computed]):
    """Cache of one value, for the last edges alone; copies and pickles of it start empty."""

    def __init__(self) -> None:
        self._last: tuple[ref[Tensor], int, Computed] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._last = None

    def of(self, edge_index: Tensor, num_nodes: int) -> Computed | None:
        """The value for these edges, if they are the last ones."""
        if self._last is None or self._last[0]() is not edge_index or self._last[1] != num_nodes:
            return None
        return self._last[2]

    def keep(self, edge_index: Tensor, num_nodes: int, value: Computed) -> Computed:
        """Replaces the value, and gives it back."""
        self._last = (ref(edge_index, self._forget), num_nodes, value)
        return value

    def _forget(self, _: Any) -> None:
        self._last = None
