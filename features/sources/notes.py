"""Notes: counts of rows that were dropped or changed while tables were read."""

import logging
from dataclasses import dataclass, field

_LOG = logging.getLogger("features")


@dataclass(kw_only=True)
class Notes:
    """Counts of oddities by table and kind.

    Attributes:
        counts: (table, kind) -> number of rows; a kind is the end of the sentence.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, table: str, kind: str, count: int) -> None:
        """Adds rows to a count; nothing if there are none.

        Args:
            table: The table, for readers.
            kind: Finding and consequence, e.g. `have no key: left out`.
            count: Number of rows.
        """
        if count:
            self.counts[table, kind] = self.counts.get((table, kind), 0) + int(count)

    def include(self, other: "Notes") -> None:
        """Takes the counts of another reading; what was read before counts once.

        Args:
            other: Counts of rows that may have been counted here already.
        """
        for key, count in other.counts.items():
            self.counts[key] = max(count, self.counts.get(key, 0))

    def lines(self) -> list[str]:
        """One sentence for each count."""
        return [f"{table}: {count:,} rows {kind}" for (table, kind), count in self.counts.items()]

    def log(self) -> None:
        """Writes the sentences as warnings of the logger `features`."""
        for line in self.lines():
            _LOG.warning(line)
