"""Features of a row: functions of its columns, of its time, and of other features; they have no state.

A column that such a feature reads is, in this order: a feature of the same view, a column of the request, or a feature
of another view as `view.feature`. `time` is the time t that is asked about.
"""

from typing import Literal

from features.definitions.base import FeatureDefinition
from features.definitions.duration import Duration

CalendarPart = Literal[
    "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "week", "month", "quarter", "year", "is_weekend"
]


class Given(FeatureDefinition, frozen=True, kw_only=True, tag="given"):
    """A column, unchanged.

    Attributes:
        column: The column.
    """

    column: str


class Calendar(FeatureDefinition, frozen=True, kw_only=True, tag="calendar"):
    """A part of a timestamp, as a number or as a point on the circle.

    Attributes:
        part: `day_of_week` is 1 for Monday to 7.
        encoding: `number`, or the sine or cosine of its share of the full circle (hours 24, week days 7, days of the
            year 366, ...); `year` and `is_weekend` are numbers only.
        column: Datetime column; None for the time that is asked about.
        time_zone: Zone in which the part is read, of times with a zone; None reads these in UTC, others as they are.
    """

    part: CalendarPart
    encoding: Literal["number", "sin", "cos"] = "number"
    column: str | None = None
    time_zone: str | None = None


class Arithmetic(FeatureDefinition, frozen=True, kw_only=True, tag="arithmetic"):
    """A sum, difference, product or ratio of columns, from left to right; missing if one is, or if it divides by zero.

    Attributes:
        op: Operator.
        columns: Two or more columns.
    """

    op: Literal["+", "-", "*", "/"]
    columns: tuple[str, ...]


class Function(FeatureDefinition, frozen=True, kw_only=True, tag="function"):
    """A function of one number; missing outside its domain.

    Attributes:
        function: The function.
        column: The column.
    """

    function: Literal["log", "log1p", "exp", "sqrt", "abs", "sign", "is_missing"]
    column: str


class Elapsed(FeatureDefinition, frozen=True, kw_only=True, tag="elapsed"):
    """Time from a datetime column until the time that is asked about, or until another column.

    Attributes:
        since: Datetime column.
        until: Datetime column; None for the time that is asked about.
        per: Unit of the answer, a duration: `1d` gives days.
    """

    since: str
    until: str | None = None
    per: Duration = "1d"


class Cross(FeatureDefinition, frozen=True, kw_only=True, tag="cross"):
    """The combination of several columns as one category, their texts joined by `|`; missing if one is.

    Attributes:
        columns: Two or more columns.
    """

    columns: tuple[str, ...]


class Bucket(FeatureDefinition, frozen=True, kw_only=True, tag="bucket"):
    """The number of the interval that a value falls in: 0 below the first edge, i from edge i on, edge i + 1 excluded.

    Attributes:
        column: The column.
        edges: Edges, ascending.
    """

    column: str
    edges: tuple[float, ...]


class Hash(FeatureDefinition, frozen=True, kw_only=True, tag="hash"):
    """A category as a number from 0 to buckets - 1: 64 bits of BLAKE2b of its text, salted, modulo `buckets`.

    Attributes:
        column: The column.
        buckets: Number of buckets.
        salt: Number that changes who collides with whom.
    """

    column: str
    buckets: int
    salt: int = 0


class Text(FeatureDefinition, frozen=True, kw_only=True, tag="text"):
    """A text for a text encoder: the texts of columns, joined; missing if all of them are.

    Blanks around each text are removed, and columns without a text are left out. Numbers and categories may be told to
    the encoder as text too, each with its name: `named: [Age]` appends `Age: 33`.

    Attributes:
        column: Text column; None with `columns`.
        columns: Columns whose texts are joined, in this order; for one of them, `column` will do.
        named: Columns that follow, each as `name: value`.
        separator: What stands between the parts.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    separator: str = " "

    @property
    def plain(self) -> tuple[str, ...]:
        """Columns without a name, whichever way they are given."""
        return self.columns if self.column is None else (self.column,)


RowFeature = Given | Calendar | Arithmetic | Function | Elapsed | Cross | Bucket | Hash | Text
