"""Random definitions and event streams for property tests: ties, nulls, late and corrected events, conditions, ttl."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from features.definitions import (
    Aggregate,
    Column,
    Decayed,
    Definitions,
    Entity,
    FeatureView,
    HistoryFeature,
    Lag,
    Source,
    TimeSince,
    Where,
)
from features.definitions.source import ColumnType

START = datetime(2024, 1, 1)
COLUMNS: dict[str, ColumnType] = {"x": "float", "n": "int", "s": "str", "b": "bool"}
KEYS = ("a", "b")


@dataclass(frozen=True)
class History:
    """A view `v` over a source `events`, and rows of it in order of their arrival."""

    definitions: Definitions
    rows: list[dict[str, Any]]

    @property
    def source(self) -> Source:
        """The source."""
        return self.definitions.sources["events"]


def minutes(most: int) -> st.SearchStrategy[str]:
    """Durations."""
    return st.integers(1, most).map(lambda count: f"{count}m")


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "x": st.none() | st.sampled_from([0.0, 0.1, -0.1, 2.5, 1e-6, -3e5, 1234.5678]) | st.floats(-100, 100, width=32),
    "n": st.none() | st.integers(-3, 3),
    "s": st.none() | st.sampled_from(["p", "q", "é"]),
    "b": st.none() | st.booleans(),
}
WHERES = st.none() | st.one_of(
    st.builds(Where, column=st.just("x"), op=st.sampled_from([">", "<=", "!="]), value=st.sampled_from([0.0, 2.5])),
    st.builds(Where, column=st.just("n"), op=st.sampled_from(["==", "<", ">="]), value=st.integers(-1, 1)),
    st.builds(Where, column=st.just("s"), op=st.sampled_from(["==", "!="]), value=st.just("p")),
    st.builds(Where, column=st.just("b"), op=st.just("=="), value=st.booleans()),
)


@st.composite
def aggregates(draw: Callable[..., Any]) -> Aggregate:
    """Aggregates over windows, rows, or all of the past."""
    function = draw(st.sampled_from(["count", "sum", "mean", "std", "min", "max", "first", "last", "distinct"]))
    numeric = function in ("sum", "mean", "std")
    column = draw(st.sampled_from(["x", "n", "b"] if numeric else [*COLUMNS]))
    if function == "count" and draw(st.booleans()):
        column = None
    window, rows = draw(
        st.tuples(st.none(), st.none()) | st.tuples(minutes(40), st.none()) | st.tuples(st.none(), st.integers(1, 4))
    )
    offset = draw(st.none() | minutes(15))
    return Aggregate(function=function, column=column, window=window, rows=rows, offset=offset, where=draw(WHERES))


FEATURES: st.SearchStrategy[HistoryFeature] = st.one_of(
    aggregates(),
    aggregates(),
    st.builds(Lag, column=st.sampled_from([*COLUMNS]), rows=st.integers(1, 3)),
    st.builds(TimeSince, event=st.sampled_from(["first", "last"]), per=st.just("1m"), where=WHERES),
    st.builds(Decayed, function=st.just("count"), half_life=minutes(30), where=WHERES),
    st.builds(
        Decayed,
        function=st.sampled_from(["count", "sum", "mean"]),
        column=st.sampled_from(["x", "n"]),
        half_life=minutes(30),
        where=WHERES,
    ),
)


@st.composite
def histories(draw: Callable[..., Any], *, most_events: int = 30, in_order: bool = False) -> History:
    """Definitions and rows.

    Args:
        draw: Hypothesis' own.
        most_events: Number of rows at most.
        in_order: Rows arrive in the order in which they became available.
    """
    features = draw(st.lists(FEATURES, min_size=1, max_size=5))
    has_available, has_id = draw(st.booleans()), draw(st.booleans())
    source = Source(
        time="time",
        columns={name: Column(type=kind) for name, kind in COLUMNS.items()},
        available="available" if has_available else None,
        event_id=("id",) if has_id else (),
    )
    entity = draw(st.sampled_from(["key", None])) if not has_id else "key"
    view = FeatureView(
        source="events",
        entity=entity,
        ttl=draw(st.none() | minutes(60)),
        features={f"f{i}": feature for i, feature in enumerate(features)},
    )
    definitions = Definitions(
        entities={"key": Entity(keys={"key": "str"})}, sources={"events": source}, views={"v": view}
    )
    count = draw(st.integers(0, most_events))
    rows, clock = [], 0
    for _ in range(count):
        clock += draw(st.sampled_from([0, 0, 0, 1, 5, 12]))
        late = draw(st.sampled_from([0, 0, 0, 1, 7, 40, 90, -10]))
        time = START + timedelta(minutes=clock - late)
        row = {"key": draw(st.sampled_from(KEYS)), "time": time, **{name: draw(CELLS[name]) for name in COLUMNS}}
        if has_available:
            row["available"] = START + timedelta(minutes=clock)
        if has_id:
            row["id"] = draw(st.none() | st.integers(0, 12))
        rows.append(row)
    if has_available and not in_order:
        rows = draw(st.permutations(rows))
    if in_order and not has_available:
        rows = sorted(rows, key=lambda row: row["time"])
    return History(definitions, rows)
