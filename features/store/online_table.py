"""Online table: features of rows from a store, equal to the training table of the same rows at the same times."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import polars as pl

from features.batch.request import key_columns, row_times
from features.batch.training_table import check_names, public_columns
from features.definitions import Definitions, HistoryFeature
from features.definitions.value_type import value_type
from features.fitted import Fitted, evaluate
from features.rows import input_columns, required_features
from features.sources import Notes
from features.store.protocol import OnlineStore
from features.store.reader import ViewReader
from features.store.view_mark import read_mark

_TYPES: dict[str, pl.DataType] = {"int": pl.Int64(), "float": pl.Float64(), "bool": pl.Boolean(), "str": pl.String()}


def online_table(
    definitions: Definitions,
    store: OnlineStore,
    rows: pl.DataFrame,
    *,
    at: str | datetime | None = None,
    features: Sequence[str] | None = None,
    fitted: Fitted | None = None,
    reasons: bool = False,
    namespace: str = "default",
    notes: Notes | None = None,
) -> pl.DataFrame:
    """Looks up features of history in a store, and computes those that read them or the rows.

    Args:
        definitions: The definitions that the store was materialized from.
        store: The store.
        rows: Keys, and the columns that views request; all columns are kept.
        at: Column of the times, or one time for all rows; None for now.
        features: Full names of features, or names of views; None for all.
        fitted: State of fitted features, needed if any is selected.
        reasons: Append `<feature>__reason` for each feature of history.
        namespace: Project in the store.
        notes: Takes counts of what was left out; None writes them as warnings of the logger `features`.

    Returns:
        The columns of `rows`, then those of the features, as `training_table` names them.

    Raises:
        ValueError: A name is unknown, a column is missing or of another type, a view was not materialized, or a time is
            before the last event of an entity.
        StoreError: The store cannot be reached.
    """
    said = Notes() if notes is None else notes
    chosen = definitions.select(features)
    check_names(definitions, chosen, rows, reasons=reasons)
    needed = required_features(definitions, chosen)
    if at is None:
        at = current_time(store, namespace, {full.partition(".")[0] for full in needed})
    times = row_times(rows, at, definitions, {}, notes=said)
    blocks = [input_columns(definitions, needed, rows, times=times, notes=said)]
    for view, content in definitions.views.items():
        names = [full for full in needed if full.partition(".")[0] == view]
        if not any(isinstance(definitions.feature(full), HistoryFeature) for full in names):
            continue
        keys = key_columns(rows, [content.entity] if content.entity else [], definitions, notes=said)
        reader = ViewReader(definitions, store, view, namespace=namespace)
        asked = keys.rows() if keys.width else [()] * rows.height
        answer = reader.read(asked, at=times.to_list())
        said.add(f"store: view {view!r}", "are of entities that it does not know: as one never seen", answer.unknown)
        zone = getattr(times.dtype, "time_zone", None)
        columns: list[pl.Series] = []
        for index, name in enumerate(answer.features):
            full = f"{view}.{name}"
            dtype = _TYPES.get(value_type(definitions, full), pl.Datetime("us", zone))
            columns.append(pl.Series(full, [values[index] for values in answer.values], dtype=dtype))
            codes = [why[index] for why in answer.reasons]
            columns.append(pl.Series(f"{full}__reason", codes, dtype=pl.UInt8))
        blocks.append(pl.DataFrame(columns))
    frame = pl.concat([block for block in blocks if block.width], how="horizontal")
    computed = evaluate(definitions, needed, frame, fitted=fitted)
    if notes is None:
        said.log()
    return rows.with_columns(public_columns(computed, chosen, reasons=reasons))


def current_time(store: OnlineStore, namespace: str, views: Collection[str]) -> datetime:
    """The present time, in UTC: with a zone if the stored times have one.

    Args:
        store: The store.
        namespace: Project in the store.
        views: Names of the views that are read.
    """
    marks = store.marks(namespace)
    zoned = any(read_mark(marks[view], place=f"view {view!r} in {store.url}").zoned for view in marks.keys() & views)
    return datetime.now(UTC) if zoned else datetime.now(UTC).replace(tzinfo=None)
