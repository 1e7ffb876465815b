"""Sources and entities: tables of events or rows, with their keys and clocks."""

from datetime import datetime
from typing import Literal

import msgspec

from features.definitions.base import Definition
from features.definitions.duration import Duration

ColumnType = Literal["int", "float", "bool", "str", "datetime"]


class Column(Definition, frozen=True, kw_only=True):
    """A column that a client or a source provides.

    Attributes:
        type: Type of the values.
        format: Of text that holds a datetime, in chrono's notation; None parses ISO 8601.
    """

    type: ColumnType
    unit: str = ""
    format: str | None = None


class Entity(Definition, frozen=True, kw_only=True):
    """What features describe: a customer, a product, a station.

    Attributes:
        keys: Key columns and their types.
    """

    keys: dict[str, ColumnType]


class CsvFormat(Definition, frozen=True, kw_only=True):
    """How a text file is written, where it is not a plain CSV file.

    Attributes:
        separator: A character, or `whitespace` for any run of blanks; `,` of a file that ends in .tsv is a tab.
        columns: Names of all columns, for a file without a header; with `skip_rows: 1` instead of the header it has. A
            first line of some of these very names is a header.
        skip_rows: Lines to skip at the start.
        null_values: Words that mean a missing value, beside the empty one.
        comment: Start of lines that are left out; "" for none.
        trim: Blanks around cells and column names are removed, and blank lines left out.
        quote: Character around cells that contain separators or line ends; "" where quotes are part of the text.
    """

    separator: str = ","
    columns: tuple[str, ...] = ()
    skip_rows: int = 0
    null_values: tuple[str, ...] = ()
    comment: str = ""
    trim: bool = False
    quote: str = '"'


class Source(Definition, frozen=True, kw_only=True):
    """A table or an event log: a row is an event of one or more entities.

    Attributes:
        time: Column of the event time.
        columns: Value columns.
        path: CSV, TSV, JSON lines or parquet file, folder of parquet files, or glob; None if the rows come from the
            caller, as they do where the table that is asked about is also its own history.
        csv: How the text file is written; None for a plain CSV file.
        keys: Key column of an entity -> column of this table, where the two differ.
        time_format: Of a text time column, in chrono's notation; None parses ISO 8601.
        time_zone: Zone of timestamps without one; None keeps them as they are.
        time_plus: Whole-number columns to add to the time, each in units of a duration: `{hour: 1h}` where date and
            hour are two columns.
        until: Time up to which the table is complete, for labels that count events; None for its last event.
        available: Column of the time at which a row became known, not before it could be used; None if that is `time`.
        event_id: Columns that identify an event: a row of the same id that became available later corrects the earlier.
        owner: Who answers for it.
    """

    time: str
    columns: dict[str, Column]
    path: str | None = None
    csv: CsvFormat | None = None
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    time_format: str | None = None
    time_zone: str | None = None
    time_plus: dict[str, Duration] = msgspec.field(default_factory=dict)
    until: datetime | None = None
    available: str | None = None
    event_id: tuple[str, ...] = ()
    owner: str = ""
