"""Repairs of a table: counts of the rows and values that were sorted, dropped, inserted or filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Repairs:
    """Counts of the repairs of a table.

    Attributes:
        rows_read: Rows of the table.
        rows: Rows of the resulting series.
        unsorted: Number of rows earlier than their predecessor; the rows were sorted.
        repeated: Rows dropped because a later row has the same timestamp.
        inserted: Rows inserted into gaps of the frequency.
        filled: Number of filled values by column, those of inserted rows included; only columns with any.
        as_they_stand: Number of rows whose time does not follow that of the row before; nothing was done about them.
    """

    rows_read: int
    rows: int
    unsorted: int
    repeated: int
    inserted: int
    filled: Mapping[str, int]
    as_they_stand: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.unsorted or self.repeated or self.inserted or self.filled or self.as_they_stand)

    @property
    def fraction(self) -> float:
        """The largest of: fraction of rows dropped, fraction of a column's values filled."""
        filled = max(self.filled.values(), default=0)
        return max(self.repeated / max(self.rows_read, 1), filled / max(self.rows, 1))

    def describe(self) -> str:
        """All counts in one line."""
        if not self:
            return f"{self.rows:,} rows, none dropped, inserted or filled"
        columns = [f"{name} {count:,} ({count / self.rows:.1%})" for name, count in self.filled.items()]
        if len(columns) > 8:
            columns = [*columns[:8], f"{len(columns) - 8} more columns"]
        parts = (
            (self.unsorted, f"sorted, as time went backwards {self.unsorted:,} times"),
            (self.repeated, f"{self.repeated:,} rows dropped because a later row has their timestamp"),
            (self.inserted, f"{self.inserted:,} rows inserted in gaps"),
            (
                self.as_they_stand,
                f"all as they stand, though the time of {self.as_they_stand:,} does not follow that of the row before",
            ),
            (len(self.filled), f"values filled: {', '.join(columns)}"),
        )
        done = "; ".join(text for count, text in parts if count)
        return f"{self.rows_read:,} rows read, {self.rows:,} used: {done}"

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "rows_read": self.rows_read,
            "rows": self.rows,
            "unsorted": self.unsorted,
            "repeated": self.repeated,
            "inserted": self.inserted,
            "filled": dict(self.filled),
            **({"as_they_stand": self.as_they_stand} if self.as_they_stand else {}),
        }
