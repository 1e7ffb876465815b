"""Answers one part of a table: what each engine runs, on as many cores or machines as it has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from lightning_app.packaging import BadRowsError, Package

VERSION = "model_version"
SCORED_AT = "scored_at"
REASON = "__reason"
INPUT = "__input"
"""Columns of an answer that the output does not have: why a row was rejected, and what it held, as JSON."""


@dataclass(frozen=True)
class AnswerPlan:
    """What an answer holds; plain data, so that it can be sent to where it is computed.

    Attributes:
        package: Folder of the package.
        inputs: Columns that the model reads.
        keys: Columns of the table that the answer keeps.
        version: What answered, as it is written into each row.
        scored_at: When the job was started, ISO 8601 in UTC; the same for all rows.
    """

    package: str
    inputs: tuple[str, ...]
    keys: tuple[str, ...]
    version: str
    scored_at: str


class Answerer:
    """A package and what its answers look like.

    Args:
        plan: What an answer holds.
    """

    def __init__(self, plan: AnswerPlan) -> None:
        self.plan = plan
        self.package = Package.load(Path(plan.package), num_threads=1)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Answers rows.

        Args:
            table: Some rows.

        Returns:
            As many rows in the same order: keys, answers (null where a row was rejected), version, timestamp, and for
            rejected rows the reason and what they held.
        """
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        reasons: dict[int, str] = {}
        inputs = self._inputs(frame, reasons)
        answer = self._predict(inputs, reasons)
        scored_at = datetime.fromisoformat(self.plan.scored_at)
        found = frame.select(self.plan.keys).hstack(answer) if self.plan.keys else answer
        found = found.with_columns(pl.lit(self.plan.version).alias(VERSION), pl.lit(scored_at).alias(SCORED_AT))
        return found.with_columns(self._rejected(frame, reasons)).to_arrow()

    def _inputs(self, frame: pl.DataFrame, reasons: dict[int, str]) -> pl.DataFrame:
        """What the model reads; text where it reads numbers becomes numbers, or a reason."""
        inputs = frame.select(self.plan.inputs)
        for name, dtype in inputs.schema.items():
            if dtype == pl.String and name != "text":
                numbers = inputs[name].str.strip_chars().cast(pl.Float64, strict=False)
                wrong = numbers.is_null() & inputs[name].is_not_null()
                for row in wrong.arg_true().to_list():
                    reasons.setdefault(row, f"{name}: {inputs[name][row]!r} is no number")
                inputs = inputs.with_columns(numbers)
        return inputs

    def _predict(self, inputs: pl.DataFrame, reasons: dict[int, str]) -> pl.DataFrame:
        good = inputs if not reasons else inputs.filter(_others(inputs, reasons))
        try:
            answer = self.package.predict(good)
        except BadRowsError as error:
            rows = _others(inputs, reasons).arg_true()
            reasons.update({int(rows[place]): reason for place, reason in error.rows.items()})
            answer = self.package.predict(inputs.filter(_others(inputs, reasons)))
        if not reasons:
            return answer  # type: ignore[no-any-return]
        places = pl.DataFrame({"row": _others(inputs, reasons).arg_true()}).hstack(answer)
        everyone = pl.DataFrame({"row": pl.int_range(len(inputs), dtype=pl.UInt32, eager=True)})
        return everyone.join(places, on="row", how="left", maintain_order="left").drop("row")

    def _rejected(self, frame: pl.DataFrame, reasons: Mapping[int, str]) -> list[pl.Series | pl.Expr]:
        if not reasons:
            return [pl.lit(None, pl.String).alias(name) for name in (REASON, INPUT)]
        why: list[str | None] = [None] * len(frame)
        held: list[str | None] = [None] * len(frame)
        for row, reason in reasons.items():
            why[row], held[row] = reason, json.dumps(frame.row(row, named=True), default=str)
        return [pl.Series(REASON, why, dtype=pl.String), pl.Series(INPUT, held, dtype=pl.String)]


def _others(inputs: pl.DataFrame, reasons: Mapping[int, str]) -> pl.Series:
    return ~pl.int_range(len(inputs), eager=True).is_in(sorted(reasons))


def columns_read(package: Package, names: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table that a package reads.

    Args:
        package: The package.
        names: Columns of the table.
    """
    wanted: list[str] = []
    for spec in package.manifest.inputs:
        if spec.name in names or not spec.columns:
            wanted.append(spec.name)
        else:
            wanted += spec.columns
    if package.tokenizer is not None and "text" in names:
        wanted = ["text", *(name for name in wanted if name != "tokens")]
    return tuple(wanted)
