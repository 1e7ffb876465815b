"""Column of a data contract: its type, and whether a table has to have it."""

from features.contracts.rules.base_rule import Severity
from features.contracts.rules.column_types import TypeName
from features.definitions.base import Definition

_TEMPORAL = ("date", "datetime", "time")


class ContractColumn(Definition, frozen=True, kw_only=True):
    """Requirements of a contract on a column.

    Attributes:
        type: Type of the values. A text column, as every column of a CSV file is one, is parsed into the type; cells
            that cannot be parsed break the contract.
        required: Whether a table without the column breaks the contract; rules on an absent column are not checked.
        time_format: Format of dates and timestamps that are text, in chrono's notation; None parses ISO 8601.
        time_zone: Zone of timestamps; text then states its offset in every cell. None for timestamps without a zone.
        unit: Unit of the values.
        severity: Consequence of another type, or of cells that cannot be parsed.
    """

    type: TypeName = "any"
    required: bool = True
    time_format: str | None = None
    time_zone: str | None = None
    unit: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if self.time_format is not None and self.type not in _TEMPORAL:
            raise ValueError(f"time_format: {self.time_format!r} given for type {self.type}, {_allowed(_TEMPORAL)}")
        if self.time_zone is not None:
            if self.type != "datetime":
                raise ValueError(f"time_zone: {self.time_zone!r} given for type {self.type}, {_allowed(('datetime',))}")
            if self.time_format is not None and "%z" not in self.time_format.replace("%#z", "%z").replace("%:z", "%z"):
                raise ValueError(
                    f"time_format: {self.time_format!r} has no offset (%z), which time_zone {self.time_zone!r} needs"
                )


def _allowed(types: tuple[str, ...]) -> str:
    return f"it is for type {' or '.join(types)}"
