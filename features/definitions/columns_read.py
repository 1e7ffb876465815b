"""Columns that a feature reads, whatever its kind."""

from features.definitions.fitted import TargetEncoding
from features.definitions.history import Aggregate, Decayed, Lag, TimeSince
from features.definitions.row import Arithmetic, Calendar, Cross, Elapsed, Text
from features.definitions.view import Feature

TIME = "time"
"""Name by which features read the time that is asked about."""


def columns_read(feature: Feature) -> tuple[str, ...]:
    """Columns of the source (features of history), or of the row (all others).

    Args:
        feature: The feature.
    """
    if isinstance(feature, Aggregate | Decayed | Lag | TimeSince):
        column = getattr(feature, "column", None)
        where = getattr(feature, "where", None)
        return tuple(name for name in (column, where.column if where else None) if name is not None)
    if isinstance(feature, Calendar):
        return (feature.column or TIME,)
    if isinstance(feature, Elapsed):
        return (feature.since, feature.until or TIME)
    if isinstance(feature, Arithmetic | Cross | TargetEncoding):
        return feature.columns
    if isinstance(feature, Text):
        return (*feature.plain, *feature.named)
    return (feature.column,)
