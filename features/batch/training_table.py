"""Training table: features and labels of rows at their points in time; every row is kept, in order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from features.batch.compute import Asked, compute_features, with_own_tables
from features.batch.fit import Mask, train_mask, training_rows
from features.batch.labels import label_values
from features.batch.reasons import REASONS
from features.batch.request import row_times
from features.definitions import Definitions, Given, HistoryFeature
from features.fitted import Fitted
from features.sources import Notes


def training_table(
    definitions: Definitions,
    rows: pl.DataFrame,
    *,
    at: str | datetime = "time",
    features: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame] | None = None,
    fitted: Fitted | None = None,
    train: Mask | None = None,
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
        fitted: State of fitted features, needed if any is selected.
        train: Which rows are those that `fitted` was learned from: their target encodings leave out their own labels.
            None if no row is.
        reasons: Append `<feature>__reason` for each feature of history.
        root: Folder that relative paths of sources start from.
        notes: Takes counts of what was left out; None writes them as warnings of the logger `features`.

    Returns:
        The columns of `rows`, then one column per feature, named as the feature, or `view__feature` where two selected
        features have the same name, then labels. A feature that is a column as given takes that column's place.

    Raises:
        ValueError: A name is unknown, a column is missing or of another type, zones are mixed, or the state is missing
            or of other definitions.
    """
    said = Notes() if notes is None else notes
    chosen = definitions.select(features)
    tables = with_own_tables(definitions, rows, tables)
    asked = Asked(
        rows=rows, times=row_times(rows, at, definitions, tables, notes=said), tables=tables, root=root, notes=said
    )
    training = None
    if train is not None:
        training = training_rows(definitions, chosen, asked, train_mask(train, rows.height))
        if fitted is None:
            raise ValueError("train: give the fitted state of these rows too: fitted=fit(...)")
    computed = compute_features(definitions, chosen, asked, fitted=fitted, training=training)
    columns = public_columns(computed, chosen, reasons=reasons)
    columns += [
        label_values(label, definitions, rows, times=asked.times, tables=tables, root=root, notes=said)
        for label in labels
    ]
    check_names(definitions, chosen, rows, labels=labels, reasons=reasons)
    if notes is None:
        said.log()
    return rows.with_columns(columns)


def check_names(
    definitions: Definitions,
    chosen: Sequence[str],
    rows: pl.DataFrame,
    *,
    labels: Sequence[str] = (),
    reasons: bool = False,
) -> None:
    """Refuses a name of two columns, unless they are the same column.

    Args:
        definitions: The definitions.
        chosen: Full names of features.
        rows: Rows that features and labels are appended to.
        labels: Names of labels.
        reasons: Whether reasons are appended too.

    Raises:
        ValueError: A feature, its reason or a label has the name of another column.
    """
    same = {label for label in labels if getattr(definitions.label(label), "column", None) == label}
    public = public_names(chosen)
    for full, name in public.items():
        feature = definitions.feature(full)
        if name in labels or (name in rows.columns and feature != Given(column=name)):
            raise ValueError(f"feature {full!r} has the name of another column of the rows or of a label; rename one")
        if reasons and isinstance(feature, HistoryFeature) and f"{name}__reason" in rows.columns:
            raise ValueError(
                f"the rows have a column {name + '__reason'!r}, the name of the reasons of {full!r}; rename it"
            )
    for label in labels:
        if label in rows.columns and label not in same:
            raise ValueError(f"label {label!r} has the name of another column of the rows; rename one")


def public_columns(computed: pl.DataFrame, features: Sequence[str], *, reasons: bool) -> list[pl.Series]:
    """Features as a user sees them, with reasons by name.

    Args:
        computed: Features by full name, with codes of the reasons of those of history.
        features: Full names, `view.feature`.
        reasons: Add `<feature>__reason` for each feature of history.
    """
    names = pl.Series(REASONS.categories, dtype=REASONS)
    columns: list[pl.Series] = []
    for full, public in public_names(features).items():
        columns.append(computed[full].alias(public))
        if reasons and f"{full}__reason" in computed.columns:
            columns.append(names.gather(computed[f"{full}__reason"]).alias(f"{public}__reason"))
    return columns


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
