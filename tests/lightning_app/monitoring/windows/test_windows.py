from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightning_app.monitoring.report.structs import Window
from lightning_app.monitoring.windows.rows import read_rows, together
from lightning_app.monitoring.windows.traffic import answering_models, traffic, windows_until
from lightning_app.serving.journal.stores import open_database, open_reader, open_store
from tests.lightning_app.serving.journal.records import outcome, prediction

DAY = 86_400.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Three days of answers of two versions, some degraded, with two outcomes."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    store = open_store(url)
    store.write(
        [
            prediction(f"id-{number}", time=number * DAY / 2, version=3 if number < 4 else 4,
                       digest=("a" if number < 4 else "b") * 64, degraded="open" if number == 5 else None,
                       body=b'{"records":[{"age":%d,"city":"Bern"}]}' % number)
            for number in range(6)
        ]
    )  # fmt: skip
    store.feedback([outcome("id-1", b"5"), outcome("id-4", b"7"), outcome("nobody", b"1")])
    store.close()
    return url


@given(st.floats(1.0, 1e10), st.sampled_from((1.0, 3600.0, DAY, 7 * DAY)), st.integers(1, 40))
def test_windows_cover_the_span_without_gaps_and_begin_where_they_always_begin(
    until: float, every: float, count: int
) -> None:
    windows = windows_until(until, every=every, length=count * every)
    assert windows[0].since <= until - count * every < windows[0].until
    assert windows[-1].until == until
    for earlier, later in pairwise(windows):
        assert earlier.until == later.since
    assert all(window.since % every == 0 for window in windows)
    assert count <= len(windows) <= count + 1


def test_a_window_ends_before_its_end(url: str) -> None:
    reader = open_reader(url)
    rows = read_rows(reader, "churn", Window(since=DAY, until=2 * DAY))
    assert rows.table["journal.request_id"].to_list() == ["id-2", "id-3"]
    assert rows.monitored.columns == ["age", "city", "prediction.label", "prediction.probability", "outcome"]
    assert rows.requests.columns == ["age", "city"]
    reader.close()


def test_rows_of_several_windows_are_one_table_with_their_outcomes(url: str) -> None:
    reader = open_reader(url)
    windows = [read_rows(reader, "churn", Window(since=day * DAY, until=(day + 1) * DAY)) for day in range(4)]
    rows = together(windows)
    assert rows.report.num_predictions == rows.table.height == 6
    assert rows.table["age"].to_list() == list(range(6))
    assert rows.table["journal.outcome"].to_list() == [None, 5, None, None, 7, None]
    assert rows.of_version("b" * 64).table["age"].to_list() == [4, 5]
    empty = read_rows(reader, "churn", Window(since=9 * DAY, until=10 * DAY))
    assert empty.table.is_empty()
    assert together([empty]).monitored.is_empty()
    assert empty.of_version("a" * 64).requests.is_empty()
    reader.close()


def test_a_column_of_requests_called_outcome_is_kept_beside_that_of_the_journal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    store = open_store(url)
    store.write([prediction("x", time=1.0, body=b'{"records":[{"outcome":"win","row":8}]}')])
    store.feedback([outcome("x", b"3")])
    store.close()
    reader = open_reader(url)
    rows = read_rows(reader, "churn", Window(since=0, until=2))
    assert rows.requests.rows(named=True) == [{"outcome": "win", "row": 8}]
    assert rows.table["journal.outcome"].to_list() == [3]
    reader.close()


def test_a_sample_holds_the_same_requests_every_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    store = open_store(url)
    store.write([prediction(time=1.0) for _ in range(400)])
    store.close()
    reader = open_reader(url)
    span = Window(since=0, until=2)
    first, again = (
        read_rows(reader, "churn", span, share=0.25).table["journal.request_id"].to_list() for _ in range(2)
    )
    assert first == again
    assert 60 < len(first) < 150
    reader.close()


def test_traffic_counts_by_version_the_busiest_first(url: str) -> None:
    database = open_database(url)
    assert answering_models(database) == ["churn"]
    counted = traffic(database, "churn", Window(since=0, until=9 * DAY))
    assert [(one.version, one.requests, one.rows, one.degraded) for one in counted] == [(3, 4, 4, 0), (4, 2, 2, 1)]
    assert (counted[0].first, counted[0].last) == (0.0, 1.5 * DAY)
    assert traffic(database, "churn", Window(since=9 * DAY, until=10 * DAY)) == []
    database.close()
