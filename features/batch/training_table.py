"""Training table: features and labels of rows at their points in time; every row is kept, in order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from features.batch.history_at import history_at
from features.batch.labels import label_values
from features.batch.reasons import REASONS
from features.batch.request import in_utc, key_columns, row_times
from features.definitions import Definitions, HistoryFeature
from features.definitions.columns_read import columns_read
from features.sources import Notes, read_source


def training_table(
    definitions: Definitions,
    rows: pl.DataFrame,
    *,
    at: str | datetime = "time",
    features: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame] | None = None,
    reasons: bool = False,
    root: Path | None = None,
    notes: Notes | None = None,
) -> pl.DataFrame:
    """Computes features of rows, each as it was known at the time of the row.

    Args:
        definitions: The definitions.
        rows: Keys, times, and the columns that views request; all columns are kept.
        at: Column of the times, or one time for all rows.
        features: Full names of features, or names of views; None for all.
        labels: Names of labels to append.
        tables: Rows of sources by name, instead of their files. A source without a path and without a table has its
            events in `rows`.
        reasons: Append `<feature>__reason` for each feature of history.
        root: Folder that relative paths of sources start from.
        notes: Takes counts of what was left out; None writes them as warnings of the logger `features`.

    Returns:
        The columns of `rows`, then one column per feature, named as the feature, or `view__feature` where two selected
        features have the same name.

    Raises:
        ValueError: A name is unknown, a column is missing or of another type, or zones are mixed.
    """
    said = Notes() if notes is None else notes
    chosen = definitions.select(features)
    times = in_utc(row_times(rows, at, notes=said))
    tables = dict(tables or {})
    blocks: list[pl.DataFrame] = []
    for view, content in definitions.views.items():
        names = [full.partition(".")[2] for full in chosen if full.partition(".")[0] == view]
        names = [name for name in names if isinstance(content.features[name], HistoryFeature)]
        if not names:
            continue
        assert content.source is not None
        source = definitions.sources[content.source]
        entities = [content.entity] if content.entity else []
        table = tables.get(content.source)
        if table is None and source.path is None:
            table = rows
        events = read_source(
            source,
            name=content.source,
            keys=definitions.entities[content.entity].keys if content.entity else {},
            notes=said,
            table=table,
            columns=[column for name in names for column in columns_read(content.features[name])],
            root=root,
        )
        keys = key_columns(rows, entities, definitions, notes=said)
        blocks.append(history_at(view, definitions, events, pl.DataFrame([*keys.get_columns(), times]), features=names))
    computed = pl.concat(blocks, how="horizontal") if blocks else pl.DataFrame()
    public = public_names(chosen)
    targets = [
        label_values(name, definitions, rows, times=times, tables=tables, root=root, notes=said) for name in labels
    ]
    columns: list[pl.Series] = []
    names_of_reasons = pl.Series(REASONS.categories, dtype=REASONS)
    for full in chosen:
        if full not in computed.columns:
            continue
        columns.append(computed[full].alias(public[full]))
        if reasons:
            codes = computed[f"{full}__reason"]
            columns.append(names_of_reasons.gather(codes).alias(f"{public[full]}__reason"))
    columns += targets
    twins = [one.name for one in columns if one.name in rows.columns and one.name not in labels]
    if twins:
        raise ValueError(f"feature {twins[0]!r} has the name of a column of the rows; rename one of them")
    if notes is None:
        said.log()
    return rows.with_columns(columns)


def public_names(features: Sequence[str]) -> dict[str, str]:
    """Columns of features: their own name where it is unique among them, else `view__feature`.

    Args:
        features: Full names, `view.feature`.
    """
    short = [full.partition(".")[2] for full in features]
    return {
        full: name if short.count(name) == 1 else full.replace(".", "__", 1)
        for full, name in zip(features, short, strict=True)
    }
