"""Computation of features: history at the time of each row, then row and fitted features in order of dependency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.batch.history_at import history_at
from features.batch.request import key_columns
from features.definitions import Definitions, HistoryFeature
from features.definitions.columns_read import columns_read
from features.definitions.messages import nearest
from features.fitted import Fitted, TrainingRows, evaluate
from features.rows import input_columns, required_features
from features.sources import Notes, read_source


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Rows that are asked about, and where events come from.

    Attributes:
        rows: The rows.
        times: Their times, in UTC if they have a zone.
        tables: Rows of sources by name, instead of their files.
        root: Folder that relative paths of sources start from.
        notes: Takes counts.
    """

    rows: pl.DataFrame
    times: pl.Series
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame]
    root: Path | None
    notes: Notes


def with_own_tables(
    definitions: Definitions, rows: pl.DataFrame, tables: Mapping[str, pl.DataFrame | pl.LazyFrame] | None
) -> dict[str, pl.DataFrame | pl.LazyFrame]:
    """Tables by source: those given, and the rows themselves for a source that has neither path nor table.

    Args:
        definitions: The definitions.
        rows: The rows.
        tables: Rows of sources by name.

    Raises:
        ValueError: A table is of no source.
    """
    given = dict(tables or {})
    for name in given:
        if name not in definitions.sources:
            raise ValueError(f"tables: {name!r} is no source{nearest(name, definitions.sources)}")
    own = {name: rows for name, source in definitions.sources.items() if source.path is None}
    return {**own, **given}


def compute_features(
    definitions: Definitions,
    chosen: Sequence[str],
    asked: Asked,
    *,
    fitted: Fitted | None,
    training: TrainingRows | None,
) -> pl.DataFrame:
    """Computes features by full name, with reasons of those of history.

    Args:
        definitions: The definitions.
        chosen: Full names.
        asked: The rows.
        fitted: States of fitted features.
        training: Training rows among the rows.

    Raises:
        ValueError: A column is missing or of another type, zones are mixed, or a state is missing.
    """
    needed = required_features(definitions, chosen)
    blocks = [
        input_columns(definitions, needed, asked.rows, times=asked.times, notes=asked.notes),
        *(_history(view, definitions, needed, asked) for view in definitions.views),
    ]
    columns = pl.concat([block for block in blocks if block.width], how="horizontal")
    return evaluate(definitions, needed, columns, fitted=fitted, training=training)


def _history(view: str, definitions: Definitions, needed: Sequence[str], asked: Asked) -> pl.DataFrame:
    content = definitions.views[view]
    names = [name for full in needed if full.partition(".")[0] == view and (name := full.partition(".")[2])]
    names = [name for name in names if isinstance(content.features[name], HistoryFeature)]
    if not names:
        return pl.DataFrame()
    assert content.source is not None
    notes = Notes()  # another view may have read the same source
    events = read_source(
        definitions.sources[content.source],
        name=content.source,
        keys=definitions.entities[content.entity].keys if content.entity else {},
        notes=notes,
        table=asked.tables.get(content.source),
        columns=[column for name in names for column in columns_read(content.features[name])],
        root=asked.root,
    )
    entities = [content.entity] if content.entity else []
    keys = key_columns(asked.rows, entities, definitions, notes=notes)
    asked.notes.include(notes)
    return history_at(view, definitions, events, pl.DataFrame([*keys.get_columns(), asked.times]), features=names)
