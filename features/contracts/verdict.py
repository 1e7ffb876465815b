"""Verdict of a contract on a table: one result for each rule."""

from collections.abc import Callable
from typing import Any

import msgspec

from features.contracts.rules.base_rule import Severity


class ContractError(ValueError):
    """A table breaks a rule of severity `error`."""


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a rule.

    Attributes:
        rule: Title of the rule, e.g. `range(age)`.
        severity: Consequence of a violation.
        passed: Whether the table keeps the rule.
        num_rows: Number of rows that break it; 0 where it concerns the whole table.
        message: What was observed, if the table breaks the rule.
        row: First row that breaks it, counted from 0.
        example: Values of that row: the contract's key columns, and those that the rule reads.
    """

    rule: str
    severity: Severity
    passed: bool
    num_rows: int = 0
    message: str = ""
    row: int | None = None
    example: dict[str, Any] = msgspec.field(default_factory=dict)

    def describe(self, row_name: Callable[[int], str] | None = None) -> str:
        """The result in one line.

        Args:
            row_name: Name of a row for users, e.g. `line 18`; None for `row 16`, counted from 0.
        """
        if self.passed:
            return f"{self.rule}: passed"
        if self.row is None:
            return f"{self.rule}: {self.message}"
        place = f"row {self.row}" if row_name is None else row_name(self.row)
        values = ", ".join(f"{name} = {_shown(value)}" for name, value in self.example.items())
        return f"{self.rule}: {self.message}; first: {place}: {values}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Results of all rules of a contract.

    Attributes:
        contract: Name of the contract.
        num_rows: Rows of the table.
        results: One result for each rule, in the order of the contract.
    """

    contract: str
    num_rows: int
    results: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule of severity `error` is broken."""
        return not self.broken("error")

    def broken(self, *severities: Severity) -> tuple[RuleResult, ...]:
        """Results of the broken rules.

        Args:
            severities: Severities to include; none for all.
        """
        return tuple(one for one in self.results if not one.passed and (not severities or one.severity in severities))

    def raise_errors(self, table: str, *, row_name: Callable[[int], str] | None = None) -> None:
        """Raises if a rule of severity `error` is broken.

        Args:
            table: Name of the table for the message.
            row_name: See `RuleResult.describe`.

        Raises:
            ContractError: Names the first broken rule, how many rows break it, and one of them.
        """
        errors = self.broken("error")
        if errors:
            more = f" (and {len(errors) - 1} more broken rules)" if len(errors) > 1 else ""
            raise ContractError(f"{table} breaks {self.contract}: {errors[0].describe(row_name)}{more}")


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
