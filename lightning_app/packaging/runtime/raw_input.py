"""Raw input at run time: turns a table of raw rows into inputs of the ONNX graph, and answers back into rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.runtime.values import Values

if TYPE_CHECKING:
    import polars as pl

    from features.definitions.source import CsvFormat
    from features.store import OnlineStore

KINDS = {
    "entities": "lightning_app.packaging.runtime.raw_kinds.entities_input:EntitiesInput",
    "features": "lightning_app.packaging.runtime.raw_kinds.features_input:FeaturesInput",
    "graphs": "lightning_app.packaging.runtime.raw_kinds.graphs_input:GraphsInput",
    "node_ids": "lightning_app.packaging.runtime.raw_kinds.node_ids_input:NodeIdsInput",
    "panel": "lightning_app.packaging.runtime.raw_kinds.panel_input:PanelInput",
    "series": "lightning_app.packaging.runtime.raw_kinds.series_input:SeriesInput",
    "texts": "lightning_app.packaging.runtime.raw_kinds.texts_input:TextsInput",
}
"""Kind of a preparation to its class; imported when the first package of the kind is loaded."""
Counts: TypeAlias = Mapping[tuple[str, str], int]
"""Table or column, and what was done to rows of it, to their number; see `features.sources.Notes`."""
Advance: TypeAlias = Callable[[Mapping[str, Values], Any], tuple[Mapping[str, Any], Any]]
"""Asks the ONNX graph: inputs and state of the call before (None at first), to answers and state."""


@dataclass(frozen=True)
class RawBatch:
    """Rows of the ONNX graph, made from a part of a table.

    Attributes:
        values: Input name to values, rows first.
        keys: Whatever `RawInput.finish` needs to name the answers.
        rejected: Row of the table, from 0, to the reason why it is not answered.
        notes: What was filled, dropped or replaced, one line each.
        counts: The same where it is a count of rows, so that those of several batches can be added up.
        num_asked: Answers that were asked for, rejected ones included.
        num_rejected: Answers that cannot be given; several may have the same row.
    """

    values: Mapping[str, Values]
    keys: Any
    rejected: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    counts: Counts = field(default_factory=dict)
    num_asked: int = 0
    num_rejected: int = 0


@dataclass(frozen=True)
class RawAnswer:
    """Answers to a part of a table; the attributes are those of `RawBatch`.

    Attributes:
        table: Answers with the names that the table gives them.
        rejected: Row of the table to the reason why it is not answered.
        notes: What was filled, dropped or replaced.
        counts: The same where it is a count of rows.
        num_asked: Answers that were asked for, rejected ones included.
        num_rejected: Answers that cannot be given.
    """

    table: "pl.DataFrame"
    rejected: Mapping[int, str]
    notes: Sequence[str]
    counts: Counts
    num_asked: int
    num_rejected: int


@dataclass(frozen=True)
class FurtherTable:
    """A table that is read beside those of the request.

    Attributes:
        csv: How its text file is written; None for a plain CSV file.
        columns: Columns that are read.
    """

    csv: "CsvFormat | None"
    columns: Sequence[str]


class RawInput(ABC):
    """A kind of preparation; a subclass is registered in `KINDS`.

    Attributes:
        by_row: Whether each row is answered by itself, so that a table can be read in parts.
        csv: How text files of raw rows are written; None for plain CSV files.
        reads_texts: Whether rows hold texts, of which what was cut or is empty is counted.
        needs: What a client supplies, where that is not what the manifest says; None if it is.
        further: Tables that are read beside those of the request, by name.
    """

    by_row: bool
    csv: "CsvFormat | None" = None
    reads_texts: bool = False
    needs: RawInputSpec | None = None
    further: Mapping[str, FurtherTable] = MappingProxyType({})
    request_tables: ClassVar[tuple[str, ...]] = ()
    """Names of the tables of a request, the first with the rows that are rejected; empty for a single table."""

    @property
    def batches(self) -> bool:
        """Whether the batches of several requests may share one call of the ONNX graph."""
        return type(self).answer is RawInput.answer

    @classmethod
    @abstractmethod
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "RawInput":
        """Parses and checks the files of the preparation.

        Args:
            files: Content of the files `manifest.raw_input.all_files` by name; others may be among them.
            manifest: Manifest of the package.

        Raises:
            PackageError: A file is invalid, or does not match the manifest.
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

    def prepare_records(self, records: Sequence[Mapping[str, Any]], at: Any) -> RawBatch | None:  # noqa: ARG002
        """As `prepare`, of a few rows as plain Python values, without a table: many times faster.

        Args:
            records: Cells by column, all with the same columns.
            at: As in `prepare`.

        Returns:
            The batch of all rows, none rejected; None if `prepare` has to answer, or to refuse, these rows.
        """
        return None

    def finish_records(self, batch: RawBatch, answer: Mapping[str, Any]) -> dict[str, Any]:
        """As `finish`, of a batch of `prepare_records`.

        Args:
            batch: A batch that `prepare_records` returned.
            answer: Output name to values, rows first.

        Returns:
            Name to the values of all rows: keys as lists, then the answer.
        """
        return {**batch.keys, **answer}

    def largest_row(self, row: Mapping[str, Values]) -> Mapping[str, Values] | None:  # noqa: ARG002
        """The row as large as rows can be; None if all rows have one size, or any.

        Args:
            row: Input name to the values of one row.
        """
        return None

    def prepare_tables(self, tables: Mapping[str, "pl.DataFrame"], at: Any) -> Iterator[RawBatch]:  # noqa: ARG002
        """As `prepare`, of a request of several tables.

        Args:
            tables: By name, those of `request_tables`.
            at: As in `prepare`.

        Raises:
            RequestError: The kind takes a single table, or the tables do not fit.
        """
        raise RequestError(f"request: tables {', '.join(tables)} given, a single table needed")

    def with_tables(self, tables: Mapping[str, "pl.DataFrame"]) -> "RawInput":
        """The same preparation with tables beside those of the requests.

        Args:
            tables: By name, those of `further`.

        Raises:
            RequestError: No such table is read.
        """
        if tables:
            raise RequestError(f"tables: {', '.join(tables)} given, the package reads none beside its request")
        return self

    def with_store(self, store: "OnlineStore", *, namespace: str = "default") -> "RawInput":  # noqa: ARG002
        """The same preparation for rows with the keys of entities, whose history an online store holds.

        Args:
            store: The store.
            namespace: Project in the store.

        Raises:
            RequestError: No history is read, or no store holds it.
        """
        raise RequestError(f"store: {store.url} given, the package reads no features from a store; leave it out")

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


def load_raw_input(manifest: Manifest, files: Mapping[str, bytes]) -> RawInput:
    """Loads the preparation of a package.

    Args:
        manifest: Manifest with `raw_input`.
        files: Content of the package's files by name, those of the preparation among them.

    Raises:
        PackageError: The kind is unknown, or a file is invalid.
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
    return loaded.load(files, manifest)
