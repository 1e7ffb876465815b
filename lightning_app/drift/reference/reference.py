"""Reference: what a package says of its held-out rows, and what windows are compared with."""

import hashlib
from pathlib import Path
from typing import Any, Self

import msgspec
import polars as pl
from msgspec import Struct

from lightning_app.drift.columns.nested import flatten_structs
from lightning_app.drift.columns.plan import ColumnPlan
from lightning_app.drift.reference.bins import Bins
from lightning_app.drift.reference.counting import absent_column, sketch_column
from lightning_app.drift.reference.sketch import ColumnSketch, NewColumn, Sketch
from lightning_app.drift.result import Role
from lightning_app.drift.statistics.autocorrelation import Autocorrelation

SCHEMA_VERSION = 1
REFERENCE_FILE = "drift_reference.json"
SAMPLE_FILE = "drift_sample.parquet"


class Dependence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Autocorrelation of a column's rows in time order.

    Attributes:
        leading: Of each leading direction: rank scores of numbers, most frequent categories.
        rest: Of all other directions together.
        unusable: Of whether a row has a value.
    """

    leading: list[Autocorrelation] = []
    rest: Autocorrelation = Autocorrelation()
    unusable: Autocorrelation = Autocorrelation()


class ColumnReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One monitored column of the reference.

    Attributes:
        plan: How it is watched.
        role: Input, prediction or outcome.
        bins: Where it is counted.
        sketch: Its counts.
        blocks: Counts of contiguous blocks in time order, [blocks, bins].
        block_unusable: Rows without a usable value of each block.
        dependence: How rows depend on those before them.
    """

    plan: ColumnPlan
    role: Role
    bins: Bins
    sketch: ColumnSketch
    blocks: list[list[int]] = []
    block_unusable: list[int] = []
    dependence: Dependence = Dependence()


class Reference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Held-out rows as bins and counts. `build_reference` makes one.

    Attributes:
        schema_version: Version of this structure.
        rows: Held-out rows.
        bins: Digest of plans and bins; sketches have it too.
        order: Column that gave the time order; None if the rows were in it.
        columns: Monitored columns.
        left_out: Why other columns are not watched.
        importance: Share of the model's importance by column of requests; None if it is not known.
        errors: Errors of the model on these rows, for estimates before outcomes arrive; None if not known.
        calibration: Calibration of the model on these rows; None if not known.
    """

    schema_version: int = SCHEMA_VERSION
    rows: int
    bins: str
    order: str | None = None
    columns: list[ColumnReference]
    left_out: dict[str, str] = {}
    importance: dict[str, float] | None = None
    errors: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None

    def sketch(self, table: pl.DataFrame) -> Sketch:
        """Counts a window in the bins of this reference.

        Args:
            table: Requests, answers and outcomes of the window under the names of the reference, and no further
                columns: those that the reference does not have are reported as new.
        """
        flat = flatten_structs(table)
        columns = {}
        for column in self.columns:
            plan = column.plan
            if plan.source in flat.columns:
                columns[plan.name] = sketch_column(flat[plan.source], plan, column.bins)
            else:
                columns[plan.name] = absent_column(flat.height, column.bins)
        known = {column.plan.source for column in self.columns} | set(self.left_out)
        new = {
            series.name: NewColumn(rows=flat.height - series.null_count(), kind=str(series.dtype))
            for series in flat.iter_columns()
            if series.name not in known
        }
        return Sketch(bins=self.bins, rows=table.height, columns=columns, new=new)

    def with_dependence_of(self, other: Self) -> Self:
        """The same with the dependence of rows of another reference.

        Args:
            other: Reference of all rows, where this one is of a sample, whose rows are farther apart.
        """
        known = {column.plan.name: column.dependence for column in other.columns}
        columns = [
            msgspec.structs.replace(column, dependence=known.get(column.plan.name, column.dependence))
            for column in self.columns
        ]
        return msgspec.structs.replace(self, columns=columns)

    def reference_sketch(self) -> Sketch:
        """The reference itself as a sketch."""
        columns = {column.plan.name: column.sketch for column in self.columns}
        return Sketch(bins=self.bins, rows=self.rows, columns=columns)

    def to_bytes(self) -> bytes:
        """Content of `drift_reference.json`; equal references give equal bytes."""
        return msgspec.json.encode(self, order="deterministic") + b"\n"

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Reads the reference in a folder.

        Args:
            path: The folder, or the file itself.

        Raises:
            ValueError: There is none, it contradicts itself, or is of a newer version.
        """
        file = Path(path)
        file = file / REFERENCE_FILE if file.is_dir() else file
        if not file.is_file():
            raise ValueError(f"reference: {path} has no {REFERENCE_FILE}")
        return cls.from_bytes(file.read_bytes())

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Reads `drift_reference.json`.

        Args:
            content: The file.

        Raises:
            ValueError: It is no reference, contradicts itself, or is of a newer version.
        """
        try:
            version = msgspec.json.decode(content, type=_Versioned).schema_version
            if version > SCHEMA_VERSION:
                raise ValueError(
                    f"{REFERENCE_FILE}: schema_version {version} given, this version of lightning-app reads up to "
                    f"{SCHEMA_VERSION}: update lightning-app"
                )
            reference = msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"{REFERENCE_FILE}: {error}") from error
        _check(reference)
        return reference


class _Versioned(Struct):
    schema_version: int


def digest_of_bins(columns: list[tuple[ColumnPlan, Bins]]) -> str:
    """Digest of how columns are watched and counted.

    Args:
        columns: Plan and bins of each monitored column.
    """
    return hashlib.sha256(msgspec.json.encode(columns, order="deterministic")).hexdigest()[:16]


def _check(reference: Reference) -> None:
    names = [column.plan.name for column in reference.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"{REFERENCE_FILE}: columns must have different names")
    for column in reference.columns:
        bins, name = column.bins, column.plan.name
        if (bins.categories is None) != (column.plan.kind == "number"):
            raise ValueError(f"{REFERENCE_FILE}: {name}: bins do not fit the kind {column.plan.kind}")
        if any(later <= earlier for earlier, later in zip(bins.edges, bins.edges[1:], strict=False)):
            raise ValueError(f"{REFERENCE_FILE}: {name}: edges must increase")
        if {len(column.sketch.counts), *map(len, column.blocks)} != {bins.count}:
            raise ValueError(f"{REFERENCE_FILE}: {name}: counts must be those of {bins.count} bins")
        if column.sketch.rows != reference.rows or column.sketch.count + column.sketch.unusable != reference.rows:
            raise ValueError(f"{REFERENCE_FILE}: {name}: counts must add up to {reference.rows} rows")
    if reference.bins != digest_of_bins([(column.plan, column.bins) for column in reference.columns]):
        raise ValueError(f"{REFERENCE_FILE}: the digest of its bins is not that of its columns")
