"""Contract: requirements on a table; YAML and Python forms are equal key by key."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import polars as pl

from features.contracts.evaluation import Split, bad_rows, check_table, split_table
from features.contracts.files.contract_file import contract_yaml, read_contract_file, read_structure
from features.contracts.rules import Monotone, Rule, Unique
from features.contracts.rules.contract_column import ContractColumn
from features.contracts.verdict import Verdict
from features.definitions.base import Definition

if TYPE_CHECKING:
    from features.contracts.rules.base_rule import Severity

_SCHEMA_VERSION = 1


class Contract(Definition, frozen=True, kw_only=True):
    """Columns of a table and rules on them.

    Attributes:
        schema_version: Version of this format.
        name: Name of the contract.
        key: Columns that identify a row in examples.
        columns: Columns by name.
        extra_columns: Consequence of a column that is not among `columns`.
        rules: Rules on rows and on the table.
        max_quarantined: Largest share of rows that may be moved aside; a larger one refuses the table.

    Raises:
        ValueError: Two rules have the same name, or a value is out of its range.
    """

    schema_version: int = _SCHEMA_VERSION
    name: str = "contract"
    key: tuple[str, ...] = ()
    columns: dict[str, ContractColumn] = msgspec.field(default_factory=dict)
    extra_columns: Literal["allow", "warn", "error"] = "allow"
    rules: tuple[Rule, ...] = ()
    max_quarantined: float = 0.1

    def __post_init__(self) -> None:
        if self.schema_version > _SCHEMA_VERSION:
            raise ValueError(
                f"schema_version: {self.schema_version} given, this version reads up to {_SCHEMA_VERSION}; upgrade it"
            )
        if not 0 <= self.max_quarantined <= 1:
            raise ValueError(f"max_quarantined: {self.max_quarantined} given, a share from 0 to 1 is needed")
        if not self.columns and not self.rules:
            raise ValueError("neither columns nor rules are given: such a contract promises nothing")
        if self.extra_columns != "allow" and not self.columns:
            raise ValueError(f"extra_columns: {self.extra_columns} given without columns")
        titles = [rule.title for rule in self.rules]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"rules: two are named {twice[0]!r}; give each a name of its own")

    @classmethod
    def load(cls, path: str | Path) -> "Contract":
        """Reads a contract.

        Args:
            path: YAML or JSON file.

        Raises:
            ValueError: The file cannot be read, has unknown keys, or contradicts itself.
        """
        file = Path(path)
        return cls._build(*read_contract_file(file), name=str(file), stem=file.stem)

    @classmethod
    def from_data(cls, content: Any, *, name: str = "contract") -> "Contract":
        """Builds a contract from plain dicts and lists.

        Args:
            content: Content of a YAML file.
            name: Name for messages.

        Raises:
            ValueError: A key is unknown, or a value is of another type.
        """
        return cls._build(content, {}, name=name, stem=None)

    @classmethod
    def _build(cls, content: Any, lines: dict[str, int], *, name: str, stem: str | None) -> "Contract":
        parts = read_structure(content, cls, name=name, lines=lines)
        if stem is not None:
            parts.setdefault("name", stem)
        try:
            return msgspec.convert(parts, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}: {str(error).removesuffix(' - at `$`')}") from error

    def requiring(self, names: Collection[str]) -> "Contract":
        """The contract, with only some columns required; rules on absent other columns are not checked.

        Args:
            names: Columns that are required, if the contract requires them.
        """
        read = {name: ContractColumn() for rule in self.rules for name in rule.columns_read}
        columns = {
            name: column if name in names else msgspec.structs.replace(column, required=False)
            for name, column in (read | self.columns).items()
        }
        return msgspec.structs.replace(self, columns=columns)

    def of_rows(self, names: Collection[str]) -> "Contract | None":
        """The rules that a row breaks by itself, for rows that come without the table that they belong to.

        Args:
            names: Columns that are required, if the contract requires them.

        Returns:
            The contract without rules on whole tables and on rows beside others; None if nothing is left.
        """
        rules = tuple(rule for rule in self.rules if rule.marks_rows and not isinstance(rule, Monotone | Unique))
        if not rules and not self.columns:
            return None
        return msgspec.structs.replace(self.requiring(names), rules=rules)

    def to_data(self) -> dict[str, Any]:
        """The contract as plain dicts and lists."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    def to_json(self) -> bytes:
        """The contract as a JSON file."""
        return msgspec.json.encode(self)

    def to_yaml(self) -> str:
        """The contract as a YAML file."""
        return contract_yaml(self.to_data())

    def check(self, table: pl.DataFrame | pl.LazyFrame, *, now: datetime | None = None) -> Verdict:
        """Checks a table in one pass, and in a second one over the rules that it breaks, for examples.

        Args:
            table: The table; a lazy one is read as a stream.
            now: Time that ages are measured at, in UTC if it has no zone; None for the present.
        """
        return check_table(self, table, now=now)

    def bad_rows(
        self,
        table: pl.DataFrame | pl.LazyFrame,
        *,
        severities: "tuple[Severity, ...]" = ("quarantine",),
        now: datetime | None = None,
    ) -> tuple[Verdict, pl.DataFrame]:
        """Checks a table, and lists the rows that break rules on rows.

        Args:
            table: The table; a lazy one is read as a stream.
            severities: Severities of the rules to list rows for.
            now: See `check`.

        Returns:
            verdict: Results of all rules; refused if more rows than `max_quarantined` would be moved aside.
            rows: Columns `row` (counted from 0, ascending) and `reasons` (list of texts).
        """
        return bad_rows(self, table, severities=severities, now=now)

    def split(
        self,
        table: pl.DataFrame,
        *,
        severities: "tuple[Severity, ...]" = ("quarantine",),
        now: datetime | None = None,
    ) -> Split:
        """Moves bad rows aside.

        Args:
            table: The table.
            severities: Severities of the rules whose rows are moved aside.
            now: See `check`.

        Returns:
            good: Rows without those that are moved aside, in their order.
            quarantined: These rows with `row` (counted from 0) and `reasons`.
            verdict: Results of all rules on the whole table; the caller decides on its errors.
        """
        return split_table(self, table, severities=severities, now=now)
