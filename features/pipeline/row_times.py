"""RowTimes: the times of a few rows in plain Python, as the tables of a pipeline say how to read them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from features.definitions import Source
from features.definitions.cells import TableNeededError, cell_reader, read_moment
from features.definitions.duration import microseconds
from features.pipeline.pipeline import FeaturePipeline


class RowTimes:
    """Reads the column of the time, and those that are added to it.

    Args:
        pipeline: The pipeline.

    Attributes:
        columns: Columns that are read; empty if rows have no time.
        is_plain: Whether times are in ISO 8601 and without a zone of their source, so that they can be read here.
    """

    def __init__(self, pipeline: FeaturePipeline) -> None:
        definitions, asked = pipeline.definitions, pipeline.rows
        source = asked.source(definitions)
        own = source if asked.time is None else None
        self._time = asked.time if own is None else own.time
        self._added: list[tuple[str, Callable[[Any], Any], int]] = []
        self.is_plain = own is None or (own.time_format is None and own.time_zone is None)
        for column, unit in ({} if own is None else own.time_plus).items():
            assert own is not None
            read = cell_reader(own.columns[column])
            assert read is not None  # whole numbers
            self._added.append((column, read, microseconds(unit)))
        self.columns = () if self._time is None else (self._time, *(column for column, _, _ in self._added))

    def are_given(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether rows have a column of the time."""
        return self._time is not None and self._time in rows[0]

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[datetime]:
        """Times of rows, without a zone or in UTC.

        Args:
            rows: Cells by column.

        Raises:
            TableNeededError: A time is missing or no time, or several have a zone.
        """
        if not self.is_plain or self._time is None:
            raise TableNeededError
        times = []
        try:
            for row in rows:
                moment = read_moment(row[self._time])
                if moment is None or (moment.tzinfo is not None and len(rows) > 1):
                    raise TableNeededError
                for column, read, unit in self._added:
                    number = read(row[column])
                    if number is None:
                        raise TableNeededError
                    moment += timedelta(microseconds=number * unit)
                times.append(moment)
        except (KeyError, OverflowError) as error:
            raise TableNeededError from error
        return times


def is_event_log(source: Source) -> bool:
    """Whether rows of a source have more clocks than their time, or correct each other."""
    return source.available is not None or bool(source.event_id)
