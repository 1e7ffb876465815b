"""Translation of a Feast registry into definitions: each field of a feature view is the newest value before t."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.definitions import Column, Definitions, Entity, FeatureView, Lag, Source
from features.definitions.source import ColumnType

_TYPES: dict[str, ColumnType] = {
    "INT32": "int", "INT64": "int", "FLOAT": "float", "DOUBLE": "float",
    "BOOL": "bool", "STRING": "str", "UNIX_TIMESTAMP": "datetime",
}  # fmt: skip
_OF_KEYS: dict[str, ColumnType] = {**_TYPES, "JSON": "str", "UUID": "str"}
"""Feast takes the type of a key from the file, and takes some text columns of parquet files for JSON."""
_DUMMY = "__dummy"


@dataclass(frozen=True)
class Translation:
    """Definitions that were made of a Feast registry.

    Attributes:
        definitions: The definitions.
        left_out: What could not be translated, one line each.
    """

    definitions: Definitions
    left_out: list[str]


def translate(registry: Any, *, repo: Path, root: Path) -> Translation:
    """Translates entities, feature views and file sources.

    `created_timestamp_column` becomes the time at which a row became available, so that no row is seen before it; of
    rows with the same keys and event time, the one that was created last counts, as in Feast.

    Args:
        registry: See `read_registry`.
        repo: Folder of the repository, from which its relative paths start.
        root: Folder of the features file, to which relative paths are changed.

    Raises:
        ValueError: Nothing is left, or names contradict each other.
    """
    left_out = [f"on-demand feature view {view.spec.name}: Python code" for view in registry.on_demand_feature_views]
    left_out += [f"stream feature view {view.spec.name}: a stream" for view in registry.stream_feature_views]
    join_keys = {entity.spec.name: entity.spec.join_key for entity in registry.entities}
    descriptions = {entity.spec.name: entity.spec.description for entity in registry.entities}
    entities: dict[str, Entity] = {}
    sources: dict[str, Source] = {}
    views: dict[str, FeatureView] = {}
    for view in sorted((view.spec for view in registry.feature_views), key=lambda spec: spec.name):
        if reason := _unreadable(view):
            left_out.append(f"feature view {view.name}: {reason}")
            continue
        fields = {field.name: _TYPES.get(_type_name(field)) for field in view.features}
        left_out += [
            f"field {view.name}.{field.name}: values of type {_type_name(field)}"
            for field in view.features
            if fields[field.name] is None
        ]
        known = {name: kind for name, kind in fields.items() if kind is not None}
        if not known:
            left_out.append(f"feature view {view.name}: no field is left")
            continue
        names = [name for name in view.entities if name != _DUMMY]
        entity = "_".join(names) or None
        if entity is not None:
            types = {column.name: _type_name(column) for column in view.entity_columns}
            keys = {join_keys[name]: _OF_KEYS.get(types.get(join_keys[name], "STRING"), "str") for name in names}
            description = descriptions[names[0]] if len(names) == 1 else ""
            entities[entity] = Entity(keys=keys, description=description)
        source = _source_name(view, entity)
        sources[source] = _source(
            view, known, keys=entities[entity].keys if entity else {}, before=sources.get(source), repo=repo, root=root
        )
        views[view.name] = _view(view, known, source=source, entity=entity)
    if not views:
        raise ValueError(f"{repo}: no feature view can be read: {'; '.join(left_out)}")
    return Translation(Definitions(views=views, entities=entities, sources=sources), left_out)


def _unreadable(view: Any) -> str:
    source = view.batch_source
    if source.WhichOneof("options") != "file_options" or not source.file_options.uri:
        return f"its source is not a file ({source.data_source_class_type.rpartition('.')[2] or 'none'})"
    if "://" in source.file_options.uri and not source.file_options.uri.startswith("file://"):
        return f"its file is not on this machine ({source.file_options.uri})"
    if view.HasField("feature_transformation"):
        return "Python code"
    return ""


def _view(view: Any, fields: Mapping[str, ColumnType], *, source: str, entity: str | None) -> FeatureView:
    columns = _table_columns(view)
    described = {field.name: field.description for field in view.features}
    microseconds = view.ttl.ToMicroseconds()
    return FeatureView(
        description=view.description,
        features={name: Lag(column=columns.get(name, name), description=described[name]) for name in fields},
        source=source,
        entity=entity,
        ttl=_duration(microseconds) if microseconds else None,
        owner=view.owner,
        online=view.online,
    )


def _source(
    view: Any,
    fields: Mapping[str, ColumnType],
    *,
    keys: Mapping[str, str],
    before: Source | None,
    repo: Path,
    root: Path,
) -> Source:
    """The source of a view, with the columns of the views before it."""
    source, columns = view.batch_source, _table_columns(view)
    in_table = {key: columns.get(key, key) for key in keys}
    created = source.created_timestamp_column or None
    values = {columns.get(name, name): Column(type=kind) for name, kind in fields.items()}
    path = Path(repo, source.file_options.uri.removeprefix("file://"))
    return Source(
        description=source.description,
        path=Path(os.path.relpath(path.absolute(), root.absolute())).as_posix(),
        time=source.timestamp_field,
        time_zone="UTC",
        available=created,
        event_id=(*in_table.values(), source.timestamp_field) if created else (),
        keys={key: column for key, column in in_table.items() if key != column},
        columns=(before.columns if before else {}) | values,
        owner=source.owner,
    )


def _source_name(view: Any, entity: str | None) -> str:
    """Name of the source in Feast, and the entity: of rows with the same keys and time the last one counts."""
    uri = view.batch_source.file_options.uri
    name = str(view.batch_source.name) if view.batch_source.name not in ("", uri) else Path(uri).stem
    return name if entity is None else f"{name}_of_{entity}"


def _table_columns(view: Any) -> dict[str, str]:
    """Column of the table for each field or key that Feast calls otherwise."""
    return {name: column for column, name in view.batch_source.field_mapping.items()}


def _type_name(field: Any) -> str:
    enum = field.DESCRIPTOR.fields_by_name["value_type"].enum_type
    return str(enum.values_by_number[field.value_type].name)


def _duration(microseconds: int) -> str:
    for unit, length in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)):
        if microseconds % length == 0:
            return f"{microseconds // length}{unit}"
    return f"{microseconds}us"
