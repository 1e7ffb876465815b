"""Base class of the rules of a data contract: severity, name, and whether single rows break a rule."""

from typing import Literal

from typing_extensions import override

from features.definitions.base import Definition

Severity = Literal["error", "quarantine", "warn"]
"""`error` refuses the table, `quarantine` moves the rows aside, `warn` only reports them."""
Scalar = str | int | float | bool


class BaseRule(Definition, frozen=True, kw_only=True, tag_field="kind"):
    """Fields of every rule; its class is named by `kind`.

    Attributes:
        name: Name in verdicts and quarantine tables; None takes one from the kind and the columns.
        severity: Consequence of a violation.
    """

    name: str | None = None
    severity: Severity = "error"

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Columns that the rule reads."""
        raise NotImplementedError

    @property
    def marks_rows(self) -> bool:
        """Whether single rows break the rule, so that they can be moved aside."""
        return True

    @property
    def title(self) -> str:
        """Name of the rule in verdicts, e.g. `range(age)`."""
        return self.name or f"{self.__struct_config__.tag}({', '.join(self.columns_read)})"

    def check_severity(self) -> None:
        """Raises if rows are to be moved aside for a rule that only holds or fails for the whole table."""
        if self.severity == "quarantine" and not self.marks_rows:
            raise ValueError(f"{self.title}: it concerns the whole table, not single rows; severity: error or warn")


class ColumnRule(BaseRule, frozen=True, kw_only=True):
    """A rule on one column.

    Attributes:
        column: Column that the rule reads.
    """

    column: str

    @property
    @override
    def columns_read(self) -> tuple[str, ...]:
        return (self.column,)


def check_share(title: str, share: float) -> None:
    """Raises unless a share is from 0 to 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"{title}: max_share: {share} given, a share from 0 to 1 is needed")


def check_columns(title: str, columns: tuple[str, ...]) -> None:
    """Raises unless columns are one or several different ones."""
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"{title}: columns {list(columns)} given, one or several different ones are needed")


def check_values(title: str, values: tuple[Scalar, ...]) -> None:
    """Raises unless values are given, and of one type."""
    if not values:
        raise ValueError(f"{title}: values: none given, name the allowed ones")
    if len({type(value) is str for value in values}) > 1 or len({type(value) is bool for value in values}) > 1:
        raise ValueError(
            f"{title}: values of several types given, {list(values)}; put quotes around texts such as 'yes' or '1'"
        )
