"""NodeIdsInput: a package that contains its graph takes the tables of training, by the names of their id columns."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from typing_extensions import override

from lightning_app.packaging.format.errors import BadRowsError, PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.strict_json import read_json
from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.row_ids import node_inputs


class NodeIdsInput(RawInput):
    """Ids of nodes, from columns of the user's names.

    Args:
        columns: Input name to column.
        has_ids: Whether the package looks ids up; otherwise they are node indices.
    """

    by_row = True

    def __init__(self, columns: Mapping[str, str], *, has_ids: bool) -> None:
        self.columns = columns
        self.has_ids = has_ids

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "NodeIdsInput":
        assert manifest.raw_input is not None
        name = manifest.raw_input.file
        columns = read_json(files[name], name=name)
        inputs = node_inputs(manifest)
        if not isinstance(columns, dict) or tuple(columns) != inputs:
            raise PackageError(f"{name}: a column for each of {', '.join(inputs)} needed")
        if not all(isinstance(column, str) for column in columns.values()):
            raise PackageError(f"{name}: names of columns needed")
        return cls(columns, has_ids=manifest.node_ids is not None)

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        if at is not None:
            raise RequestError("at: given with ids of nodes, which are all answered")
        values: dict[str, Any] = {}
        rejected: dict[int, str] = {}
        for name, column in self.columns.items():
            ids = table[column]
            if not self.has_ids and ids.dtype == pl.String:
                numbers = ids.cast(pl.Int64, strict=False)
                wrong = numbers.is_null().arg_true().to_list()
                rejected |= {row: f"{column}: {ids[row]!r} is no number of a node" for row in wrong}
                ids = numbers.fill_null(0)
            values[name] = ids
        if rejected:
            raise BadRowsError(rejected, num_rows=len(table))
        yield RawBatch(values=values, keys=None, num_asked=len(table))

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        return write_frame(answer)
