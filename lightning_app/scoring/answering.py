"""Answerer: predicts one part of a table; every engine runs it in its threads or processes."""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa

from lightning_app.packaging import BadRowsError, Package
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.scoring.answer_types import list_types, with_types
from lightning_app.scoring.tables import as_frame

VERSION = "model_version"
SCORED_AT = "scored_at"


@dataclass(frozen=True)
class ReasonColumns:
    """Names of temporary answer columns that describe rejected rows; they are not written to the output.

    Attributes:
        reason: Why a row was rejected.
        held: Values of the row, as JSON.
    """

    reason: str = "__reason"
    held: str = "__input"

    @classmethod
    def beside(cls, names: Collection[str]) -> "ReasonColumns":
        """Chooses names that no other column has.

        Args:
            names: Names of the other columns.
        """
        reason, held = cls.reason, cls.held
        while {reason, held} & set(names):
            reason, held = f"{reason}_", f"{held}_"
        return cls(reason, held)


@dataclass(frozen=True)
class AnswerPlan:
    """Settings of an `Answerer`; plain data that can be sent to other processes and machines.

    Attributes:
        package: Verified contents of the package; workers never read its folder again.
        inputs: Columns that the model reads.
        keys: Columns of the table that the output keeps.
        version: Value of the column `model_version`.
        scored_at: Start of the job, ISO 8601 in UTC; the same for all rows.
        reasons: Names of the columns that describe rejected rows.
        missing: Strings that mean a missing number, e.g. `NA`.
    """

    package: PackageContents
    inputs: tuple[str, ...]
    keys: tuple[str, ...]
    version: str
    scored_at: str
    reasons: ReasonColumns
    missing: tuple[str, ...] = ()


class Answerer:
    """Predicts parts of a table with one ONNX Runtime session.

    Args:
        plan: What to read and to write.
    """

    def __init__(self, plan: AnswerPlan) -> None:
        self.plan = plan
        self.package = Package.of(plan.package, num_threads=1)
        self._types = list_types(self.package)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Predicts the rows of a part.

        Args:
            table: Rows of the input table.

        Returns:
            As many rows in the same order: keys, predictions (null for rejected rows), version, timestamp, and for
            rejected rows the reason and the values.
        """
        frame = as_frame(table)
        # The codes of categories differ between parts of a table, the strings do not.
        frame = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
        reasons: dict[int, str] = {}
        inputs = self._inputs(frame, reasons)
        answer = with_types(self._predict(inputs, reasons), self._types)
        scored_at = datetime.fromisoformat(self.plan.scored_at)
        rows = frame.select(self.plan.keys).hstack(answer) if self.plan.keys else answer
        rows = rows.with_columns(pl.lit(self.plan.version).alias(VERSION), pl.lit(scored_at).alias(SCORED_AT))
        return rows.with_columns(self._rejected(frame, reasons)).to_arrow()

    def _inputs(self, frame: pl.DataFrame, reasons: dict[int, str]) -> pl.DataFrame:
        """Selects the input columns; strings in numeric columns are parsed, or rejected with a reason."""
        inputs = frame.select(self.plan.inputs)
        if is_raw(inputs.columns, self.package.manifest):
            return inputs  # its preparation parses the columns
        spec = self.package.manifest.node_ids
        of_text = ("text", *(spec.inputs if spec is not None else ()))  # node ids are looked up as strings
        for name, dtype in inputs.schema.items():
            if dtype == pl.String and name not in of_text:
                words = inputs[name].str.strip_chars()
                numbers = words.cast(pl.Float64, strict=False)
                wrong = numbers.is_null() & words.is_not_null() & ~words.is_in(self.plan.missing)
                for row in wrong.arg_true().to_list():
                    reasons.setdefault(row, f"{name}: {inputs[name][row]!r} is no number")
                inputs = inputs.with_columns(numbers)
        return inputs

    def _predict(self, inputs: pl.DataFrame, reasons: dict[int, str]) -> pl.DataFrame:
        while True:  # some rows are rejected while reading, others only when the model fails on them
            good = inputs if not reasons else inputs.filter(_others(inputs, reasons))
            try:
                rejected, answer = self._answer(good)
            except BadRowsError as error:
                rows = _others(inputs, reasons).arg_true()
                reasons.update({int(rows[index]): reason for index, reason in error.rows.items()})
                continue
            rows = _others(inputs, reasons).arg_true()
            reasons.update({int(rows[index]): reason for index, reason in rejected.items()})
            break
        if not reasons:
            return answer  # type: ignore[no-any-return]
        is_good = _others(inputs, reasons)
        indices = pl.select(pl.when(is_good).then(is_good.cum_sum().cast(pl.Int64) - 1)).to_series()
        return answer.select(pl.all().gather(indices))

    def _answer(self, good: pl.DataFrame) -> tuple[dict[int, str], pl.DataFrame]:
        """Rows that were rejected, with the reason, and the answers to the others.

        Raises:
            BadRowsError: The model fails on some rows; none was answered.
        """
        predictor = self.package.predictor  # the contract was checked on the whole table
        if predictor.raw_input is None or not is_raw(good.columns, self.package.manifest):
            return {}, predictor.predict(good)
        parts = list(predictor.predict_raw(good))
        if not predictor.raw_input.reads_texts:  # else the job counts them over all parts
            for note in dict.fromkeys(note for part in parts for note in part.notes):
                warnings.warn(f"{self.package.manifest.name}: {note}", stacklevel=2)
        rejected = {row: reason for part in parts for row, reason in part.rejected.items()}
        return rejected, pl.concat([part.table for part in parts if len(part.table)] or [parts[0].table])

    def _rejected(self, frame: pl.DataFrame, reasons: Mapping[int, str]) -> list[pl.Series | pl.Expr]:
        names = self.plan.reasons
        if not reasons:
            return [pl.lit(None, pl.String).alias(name) for name in (names.reason, names.held)]
        why: list[str | None] = [None] * len(frame)
        held: list[str | None] = [None] * len(frame)
        for row, reason in reasons.items():
            why[row], held[row] = reason, json.dumps(frame.row(row, named=True), default=str)
        return [pl.Series(names.reason, why, dtype=pl.String), pl.Series(names.held, held, dtype=pl.String)]


def _others(inputs: pl.DataFrame, reasons: Mapping[int, str]) -> pl.Series:
    return ~pl.int_range(len(inputs), eager=True).is_in(sorted(reasons))


def columns_read(package: Package, names: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table that a package reads.

    Args:
        package: The package.
        names: Columns of the table.
    """
    raw_input = package.manifest.raw_input
    if raw_input is not None and is_raw(names, package.manifest):
        return tuple(column.name for column in raw_input.columns if column.required or column.name in names)
    columns: list[str] = []
    for spec in package.predictor.inputs:
        if spec.name in names or not spec.columns:
            columns.append(spec.name)
        else:
            columns += spec.columns
    if package.tokenizer is not None and "text" in names:
        columns = ["text", *(name for name in columns if name != "tokens")]
    return tuple(columns)
