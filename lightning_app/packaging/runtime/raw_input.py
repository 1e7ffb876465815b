"""Raw input at run time: turns a table of raw rows into inputs of the ONNX graph, and answers back into rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from features.definitions.source import CsvFormat
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.values import Array

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "features": "lightning_app.packaging.runtime.raw_kinds.features_input:FeaturesInput",
    "graphs": "lightning_app.packaging.runtime.raw_kinds.graphs_input:GraphsInput",
    "node_ids": "lightning_app.packaging.runtime.raw_kinds.node_ids_input:NodeIdsInput",
    "panel": "lightning_app.packaging.runtime.raw_kinds.panel_input:PanelInput",
    "series": "lightning_app.packaging.runtime.raw_kinds.series_input:SeriesInput",
}
"""Kind of a preparation to its class; imported when the first package of the kind is loaded."""
Advance: TypeAlias = Callable[[Mapping[str, Array], Any], tuple[Mapping[str, Any], Any]]
"""Asks the ONNX graph: inputs and state of the call before (None at first), to answers and state."""
_SHOWN = 20


@dataclass(frozen=True)
class RawBatch:
    """Rows of the ONNX graph, made from a part of a table.

    Attributes:
        values: Input name to values, rows first.
        keys: Whatever `RawInput.finish` needs to name the answers.
        rejected: Row of the table, from 0, to the reason why it is not answered.
        notes: What was filled, dropped or replaced, one line each.
        num_asked: Answers that were asked for, rejected ones included.
        num_rejected: Answers that cannot be given; several may have the same row.
    """

    values: Mapping[str, Array]
    keys: Any
    rejected: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    num_asked: int = 0
    num_rejected: int = 0


@dataclass(frozen=True)
class RawAnswer:
    """Answers to a part of a table; the attributes are those of `RawBatch`.

    Attributes:
        table: Answers with the names that the table gives them.
        rejected: Row of the table to the reason why it is not answered.
        notes: What was filled, dropped or replaced.
        num_asked: Answers that were asked for, rejected ones included.
        num_rejected: Answers that cannot be given.
    """

    table: "pl.DataFrame"
    rejected: Mapping[int, str]
    notes: Sequence[str]
    num_asked: int
    num_rejected: int


class RawInput(ABC):
    """A kind of preparation; a subclass is registered in `KINDS`.

    Attributes:
        by_row: Whether each row is answered by itself, so that a table can be read in parts.
        csv: How text files of raw rows are written; None for plain CSV files.
    """

    by_row: bool
    csv: CsvFormat | None = None
    request_tables: ClassVar[tuple[str, ...]] = ()
    """Names of the tables of a request, the first with the rows that are rejected; empty for a single table."""

    @classmethod
    @abstractmethod
    def load(cls, content: bytes, manifest: Manifest) -> "RawInput":
        """Parses and checks the file of the preparation.

        Args:
            content: The file `manifest.raw_input.file`.
            manifest: Manifest of the package.

        Raises:
            PackageError: The file is invalid, or does not match the manifest.
        """

    @abstractmethod
    def prepare(self, table: "pl.DataFrame", at: Any) -> Iterator[RawBatch]:
        """Turns a table into inputs, in batches of bounded size.

        Args:
            table: Raw rows.
            at: Which answers are asked for, as the kind defines it; None for its default.

        Raises:
            RequestError: The table as a whole does not fit: a column is missing or has a wrong type.
        """

    def prepare_tables(self, tables: Mapping[str, "pl.DataFrame"], at: Any) -> Iterator[RawBatch]:  # noqa: ARG002
        """As `prepare`, of a request of several tables.

        Args:
            tables: By name, those of `request_tables`.
            at: As in `prepare`.

        Raises:
            RequestError: The kind takes a single table, or the tables do not fit.
        """
        raise RequestError(f"request: tables {', '.join(tables)} given, a single table needed")

    def answer(self, batch: RawBatch, advance: Advance) -> Mapping[str, Any]:
        """Asks the ONNX graph for a batch, in one call; a kind that carries state makes several.

        Args:
            batch: A batch that `prepare` yielded.
            advance: Asks the graph.
        """
        return advance(batch.values, None)[0]

    @abstractmethod
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> "pl.DataFrame":
        """Turns answers of the ONNX graph into rows.

        Args:
            batch: A batch that `prepare` yielded.
            answer: Output name to values, rows first.
        """


def load_raw_input(manifest: Manifest, content: bytes) -> RawInput:
    """Loads the preparation of a package.

    Args:
        manifest: Manifest with `raw_input`.
        content: Content of its file.

    Raises:
        PackageError: The kind is unknown, or the file is invalid.
    """
    assert manifest.raw_input is not None
    kind = manifest.raw_input.kind
    if kind not in KINDS:
        raise PackageError(
            f"raw_input.kind: {kind!r} given, this version of lightning-app knows {', '.join(KINDS)}; "
            "upgrade lightning-r2p to read the package"
        )
    module, _, name = KINDS[kind].partition(":")
    loaded: type[RawInput] = getattr(import_module(module), name)
    return loaded.load(content, manifest)


def is_raw(names: Collection[str], manifest: Manifest) -> bool:
    """Whether a request holds raw rows, not inputs of the ONNX graph.

    Args:
        names: Columns or keys of the request.
        manifest: Manifest of the package.
    """
    if manifest.raw_input is None:
        return False
    given = {spec.name for spec in manifest.inputs} & set(names)
    columns = manifest.raw_input.columns
    if not given <= {column.name for column in columns}:
        return False
    return not given or all(column.name in names for column in columns if column.required)


def check_raw_columns(names: Sequence[str], manifest: Manifest, *, table: str | None = None) -> None:
    """Raises unless a table has all columns that the package needs.

    Args:
        names: Columns of the table.
        manifest: Manifest with `raw_input`.
        table: Name of the table, where a request has several.

    Raises:
        RequestError: A column is missing; names it and the nearest one of the table.
    """
    assert manifest.raw_input is not None
    for column in manifest.raw_input.columns:
        if column.table == table and column.required and column.name not in names:
            folded = {name.casefold(): name for name in names}
            near = get_close_matches(column.name.casefold(), folded, n=1)
            hint = f"; {folded[near[0]]!r} is near" if near else ""
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            which = "the table" if table is None else f"the table {table!r}"
            raise RequestError(f"{column.name}: no such column ({column.role}), {which} has {shown}{hint}")


def check_tables(names: Collection[str], manifest: Manifest, raw_input: RawInput) -> None:
    """Raises unless a request has the tables that the package needs, and no others.

    Args:
        names: Names of the tables.
        manifest: Manifest of the package.
        raw_input: Its preparation.

    Raises:
        RequestError: A table is missing, or unknown.
    """
    if set(names) != set(raw_input.request_tables):
        given = ", ".join(names) or "none"
        needed = ", ".join(raw_input.request_tables) or "a single table without a name"
        raise RequestError(f"request: tables {given} given, {needed} needed by {manifest.name}")
