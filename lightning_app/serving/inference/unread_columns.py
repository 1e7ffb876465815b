"""Unread columns of raw rows: a note of the answer names them, since one of them may be a misspelt one."""

from collections.abc import Mapping

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_input import RawInput
from lightning_app.serving.inference.model_request import ModelRequest

_SHOWN = 20


class UnreadColumns:
    """Names the columns of requests that tabular features do not read; other preparations name them themselves.

    Args:
        manifest: Manifest of the package.
        raw_input: Its preparation; None if it takes no raw rows.
    """

    def __init__(self, manifest: Manifest, raw_input: RawInput | None) -> None:
        self._read: frozenset[str] | None = None
        spec = manifest.raw_input
        if spec is None or raw_input is None or spec.kind != "features":
            return
        is_log = raw_input.needs is None and not raw_input.by_row and not raw_input.further
        if not is_log:  # of a log, clocks are read that the manifest does not list
            self._read = frozenset(column.name for column in (raw_input.needs or spec).columns)

    def notes(self, request: ModelRequest) -> list[str]:
        """The note on unread columns; none if all are read.

        Args:
            request: Raw rows.
        """
        if self._read is None or request.table is None:
            return []
        names = request.table if isinstance(request.table, Mapping) else request.table.columns
        unread = [name for name in names if name not in self._read]
        if not unread:
            return []
        return [f"columns not read: {', '.join(unread[:_SHOWN])}{' ...' * (len(unread) > _SHOWN)}"]
