"""Features of history: aggregates, lags and times since events of an entity.

At time t a feature of history sees the events with event time before t (closed on the left: an event at t is not part
of it), and of these only the ones that were available at t. Of an event that was corrected it sees the version that was
available at t. Events of equal time count in the order in which they became available, then in that of the table.
"""

from typing import Literal

from features.definitions.base import Definition, FeatureDefinition
from features.definitions.duration import Duration

Function = Literal["count", "sum", "mean", "std", "min", "max", "first", "last", "distinct"]
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


class Where(Definition, frozen=True, kw_only=True):
    """A condition on a column of the source; events with a null there do not meet it.

    Attributes:
        column: Column of the source.
        op: Comparison.
        value: What the column is compared to.
    """

    column: str
    op: Comparison
    value: int | float | str | bool


class StoredFeature(FeatureDefinition, frozen=True, kw_only=True):
    """A feature of history, which an online store can hold.

    Attributes:
        default: Value that a server takes while its store cannot be read, where it may (`store_down: defaults`).
    """

    default: int | float | str | bool | None = None


class Aggregate(StoredFeature, frozen=True, kw_only=True, tag="aggregate"):
    """An aggregate of events, over a window of time, of rows, or over all of the past.

    Nulls in `column` are left out. Without any event `count` and `distinct` are 0, all others missing; `sum` is missing
    too, as a sum over nothing known and a sum of zero are not the same. `std` is the sample deviation, missing below
    two values.

    Attributes:
        function: The aggregate.
        column: Column of the source; None for `count` of events.
        window: Length of time before t, [t - window, t); None for all of the past.
        rows: The last so many events that meet `where`, instead of a window.
        offset: Moves the window into the past: [t - offset - window, t - offset).
        where: Condition on events.
    """

    function: Function
    column: str | None = None
    window: Duration | None = None
    rows: int | None = None
    offset: Duration | None = None
    where: Where | None = None


class Lag(StoredFeature, frozen=True, kw_only=True, tag="lag"):
    """The value of a column some events ago: 1 is the last event before t. A null there is missing.

    Attributes:
        column: Column of the source.
        rows: How many events ago, from 1.
    """

    column: str
    rows: int = 1


class TimeSince(StoredFeature, frozen=True, kw_only=True, tag="time_since"):
    """Time from the first or last event until t.

    Attributes:
        event: Which event of those that meet `where`.
        per: Unit of the answer, a duration: `1d` gives days.
        where: Condition on events.
    """

    event: Literal["first", "last"] = "last"
    per: Duration = "1d"
    where: Where | None = None


class Decayed(StoredFeature, frozen=True, kw_only=True, tag="decayed"):
    """An aggregate over all of the past in which an event weighs 0.5 ** (age / half_life): exponentially weighted.

    Attributes:
        function: `count` is the sum of weights, `sum` the weighted sum, `mean` their ratio.
        half_life: Age at which an event weighs half.
        column: Column of the source; None for `count`.
        where: Condition on events.
    """

    function: Literal["count", "sum", "mean"]
    half_life: Duration
    column: str | None = None
    where: Where | None = None


HistoryFeature = Aggregate | Lag | TimeSince | Decayed
