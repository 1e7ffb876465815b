"""pandera schemas as contracts: `DataFrameSchema` and `DataFrameModel` of `pandera.polars`, as they are."""

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from features.contracts.contract import Contract
from features.contracts.evaluation import Split, with_reasons, without_rows
from features.contracts.rules.base_rule import Severity
from features.contracts.verdict import RuleResult, Verdict

_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class PanderaContract:
    """A pandera schema with the methods of `Contract`; every rule has the severity `error`.

    Tables are always collected: of a LazyFrame, pandera checks types alone and passes bad data in silence.

    Args:
        schema: `pandera.polars.DataFrameSchema`, or a subclass of `pandera.polars.DataFrameModel`.
        name: Name of the contract; None takes that of the schema.

    Raises:
        ValueError: pandera is not installed, or this is no schema of it.
    """

    def __init__(self, schema: Any, *, name: str | None = None) -> None:
        pandera = _pandera()
        is_model = isinstance(schema, type) and issubclass(schema, pandera.DataFrameModel)
        if not is_model and not isinstance(schema, pandera.DataFrameSchema):
            given = f"{type(schema).__module__}.{type(schema).__name__}"
            raise ValueError(
                f"contract: {given} given, a DataFrameSchema or DataFrameModel of pandera.polars is needed"
            )
        self._schema = schema.to_schema() if is_model else schema
        self.name = name or getattr(schema, "__name__", None) or self._schema.name or "pandera schema"

    @classmethod
    def load(cls, path: str) -> "PanderaContract":
        """Imports a schema.

        Args:
            path: `module:name`, e.g. `my_schemas:Rentals`.

        Raises:
            ValueError: The module or the name does not exist.
        """
        module, _, name = path.partition(":")
        _pandera()
        try:
            schema = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"contract: {path!r} cannot be imported: {error}") from error
        return cls(schema, name=name)

    def check(self, table: pl.DataFrame | pl.LazyFrame) -> Verdict:
        """Checks a table; see `Contract.check`. A lazy one is collected."""
        return self._validate(table)[0]

    def bad_rows(
        self,
        table: pl.DataFrame | pl.LazyFrame,
        *,
        severities: Sequence[Severity] = ("error",),
    ) -> tuple[Verdict, pl.DataFrame]:
        """Checks a table and lists its bad rows; see `Contract.bad_rows`."""
        verdict, cases = self._validate(table)
        named = cases if "error" in severities else cases.clear()
        rows = named.drop_nulls("row").unique(["row", "rule"], maintain_order=True)
        return verdict, rows.group_by("row").agg(reasons="rule").sort("row")

    def split(self, table: pl.DataFrame, *, severities: Sequence[Severity] = ("error",)) -> Split:
        """Moves bad rows aside; see `Contract.split`."""
        verdict, rows = self.bad_rows(table, severities=severities)
        return Split(without_rows(table, rows), with_reasons(table.lazy(), rows), verdict)

    def _validate(self, table: pl.DataFrame | pl.LazyFrame) -> tuple[Verdict, pl.DataFrame]:
        from pandera.config import ValidationDepth, config_context
        from pandera.errors import SchemaErrors

        frame = table.collect() if isinstance(table, pl.LazyFrame) else table
        cases = pl.DataFrame(schema={"rule": pl.String, "row": pl.Int64, "column": pl.String, "value": pl.String})
        try:
            with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
                self._schema.validate(frame, lazy=True)
        except SchemaErrors as error:
            cases = _cases(error.failure_cases)
        results = [_result(str(rule), part) for (rule,), part in cases.group_by("rule", maintain_order=True)]
        passed = RuleResult(rule="pandera", severity="error", passed=True)
        return Verdict(contract=self.name, num_rows=len(frame), results=tuple(results) or (passed,)), cases


def _pandera() -> Any:
    try:
        return import_module("pandera.polars")
    except ImportError as error:
        raise ValueError("contract: pandera is not installed: pip install 'lightning-r2p[pandera]'") from error


def _cases(failures: pl.DataFrame) -> pl.DataFrame:
    named = pl.format("{}({})", "check", pl.col("column").fill_null("table"))
    return failures.select(
        rule=named, row=pl.col("index").cast(pl.Int64), column="column", value=pl.col("failure_case").cast(pl.String)
    )


def _result(rule: str, part: pl.DataFrame) -> RuleResult:
    rows = part.drop_nulls("row").sort("row")
    if rows.is_empty():
        message = ", ".join(map(str, part["value"].to_list()[:3]))
        return RuleResult(rule=rule, severity="error", passed=False, message=f"not so: {message}")
    count = rows["row"].n_unique()
    first = rows.row(0, named=True)
    return RuleResult(
        rule=rule,
        severity="error",
        passed=False,
        num_rows=count,
        message=f"{count:,} {'row' if count == 1 else 'rows'} without it",
        row=first["row"],
        example={first["column"] or "row": first["value"]},
    )


def load_contract(source: Any) -> Contract | PanderaContract:
    """The contract of a file, or of a pandera schema.

    Args:
        source: YAML or JSON file, import path `module:name` of a schema, or a schema.

    Raises:
        ValueError: There is no such file or schema.
    """
    if isinstance(source, Contract | PanderaContract):
        return source
    if isinstance(source, str) and _IMPORT_PATH.fullmatch(source):
        return PanderaContract.load(source)
    return Contract.load(source) if isinstance(source, str | Path) else PanderaContract(source)
