"""Tables that are their own history, times of two columns, and labels up to the end of a source."""

from datetime import datetime
from typing import Any

import polars as pl

from features.batch import training_table
from features.definitions import Definitions
from features.sources import Notes

HOURS = pl.DataFrame(
    {"day": ["2024-01-01"] * 3 + ["2024-01-02"], "hour": ["0", "1", "3", "0"], "count": ["5", "7", "9", "2"]}
)


def hourly(**label: object) -> Definitions:
    return Definitions.from_data(
        {
            "sources": {
                "hours": {
                    "time": "day",
                    "time_plus": {"hour": "1h"},
                    "columns": {"hour": {"type": "int"}, "count": {"type": "int"}},
                }
            },
            "views": {
                "past": {
                    "source": "hours",
                    "features": {
                        "before": {"kind": "aggregate", "function": "last", "column": "count", "window": "1h"},
                        "ago": {"kind": "lag", "column": "count"},
                    },
                }
            },
        }
    )


def test_a_table_without_entities_is_its_own_history_and_its_time_two_columns() -> None:
    times = [datetime(2024, 1, 1, 0), datetime(2024, 1, 1, 1), datetime(2024, 1, 1, 3), datetime(2024, 1, 2, 0)]
    table = training_table(hourly(), HOURS.with_columns(pl.Series("time", times)), tables={"hours": HOURS})
    assert table["before"].to_list() == [None, 5, None, None]
    assert table["ago"].to_list() == [None, 5, 7, 9]


def test_a_label_is_known_up_to_the_end_of_its_source_not_to_its_last_event() -> None:
    events = pl.DataFrame({"who": [1, 1], "when": [datetime(2024, 1, 1), datetime(2024, 1, 5)]})
    content: dict[str, Any] = {
        "entities": {"user": {"keys": {"who": "int"}}},
        "sources": {"visits": {"time": "when", "columns": {}}},
        "views": {
            "past": {
                "source": "visits",
                "entity": "user",
                "features": {"n": {"kind": "aggregate", "function": "count"}},
            }
        },
        "labels": {
            "next": {"kind": "future", "source": "visits", "entity": "user", "function": "count", "window": "7d"}
        },
    }
    rows = pl.DataFrame({"who": [1], "time": [datetime(2024, 1, 2)]})
    for until, wanted in ((None, None), (datetime(2024, 1, 9), 1), (datetime(2024, 1, 8), None)):
        content["sources"]["visits"]["until"] = until
        table = training_table(
            Definitions.from_data(content), rows, labels=["next"], tables={"visits": events}, notes=Notes()
        )
        assert table["next"].to_list() == [wanted], until
