"""Raw input of features: the columns that a client supplies, with a table of events or with an online store."""

from dataclasses import replace

import polars as pl

from features.pipeline import FeaturePipeline
from features.pipeline.needed import event_columns, key_types, request_columns
from features.pipeline.stored_history import history_views
from lightning_app.packaging.format.manifest import TOKENIZER
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec

FILE = "features.json"
_TYPES = {"int": "whole number", "float": "number", "bool": "boolean", "str": "text", "datetime": "timestamp"}


def raw_input_spec(pipeline: FeaturePipeline) -> RawInputSpec:
    """What a client supplies: the columns of the table, their types and units, and how much history.

    Args:
        pipeline: The fitted features.
    """
    definitions, asked = pipeline.definitions, pipeline.rows
    columns: dict[str, RawColumn] = {}
    own = asked.history or asked.entities
    source = None if own is None else definitions.sources[own]
    renamed = {} if source is None else source.keys
    for key, kind in key_types(definitions, pipeline.features).items():
        columns[renamed.get(key, key)] = RawColumn(renamed.get(key, key), _TYPES[kind], "key")
    if source is not None:
        columns[source.time] = RawColumn(source.time, "timestamp", "time", source.time_format)
        for name, length in source.time_plus.items():
            columns[name] = RawColumn(name, "whole number", "time", f"added to {source.time}, in units of {length}")
    elif asked.time is not None:
        columns[asked.time] = RawColumn(asked.time, "timestamp", "time", "ISO 8601")
    if asked.entities is None:
        for name, (kind, unit) in request_columns(definitions, pipeline.features).items():
            columns.setdefault(name, RawColumn(name, _TYPES[kind], "feature", unit or None))
    events = event_columns(definitions, pipeline.features)
    same = [name for name in asked.tables_of(definitions, pl.DataFrame()) if name in events]
    for place in same:
        for name in events[place]:
            if name in definitions.sources[place].columns:
                declared = definitions.sources[place].columns[name]
                columns.setdefault(name, RawColumn(name, _TYPES[declared.type], "history", declared.unit or None))
    needs = ""
    if same:
        needs = " and all events before them: the table is its own history"
    others = sorted(events.keys() - set(same))
    if others:
        needs += f"; beside it a table for {', '.join(others)}"
    what = "events" if asked.entities is not None else "rows"
    views = history_views(definitions, pipeline.features)
    return RawInputSpec(
        kind="features",
        file=FILE,
        columns=tuple(columns.values()),
        min_rows=0,
        rows_of=f"{what}{needs}",
        stored_views=views if all(definitions.views[view].online for view in views) else (),
        files=(TOKENIZER,) if pipeline.layout is not None and pipeline.layout.texts else (),
    )


def stored_input_spec(pipeline: FeaturePipeline) -> RawInputSpec:
    """What a client supplies where an online store holds the history: keys, requested columns, and times if it has any.

    Args:
        pipeline: The fitted features.
    """
    spec, asked = raw_input_spec(pipeline), pipeline.rows
    source = asked.source(pipeline.definitions)
    renamed = {} if source is None else source.keys
    needed = {renamed.get(key, key) for key in key_types(pipeline.definitions, pipeline.features)}
    if asked.entities is None:
        needed |= request_columns(pipeline.definitions, pipeline.features).keys()
    columns = tuple(
        replace(column, required=column.name in needed)
        for column in spec.columns
        if column.name in needed or column.role == "time"
    )
    return replace(spec, columns=columns, rows_of="rows, whose history an online store holds")
