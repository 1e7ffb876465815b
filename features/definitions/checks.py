"""Checks of definitions as a whole: names exist, kinds fit, nothing reads the label or the future."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from features.definitions.columns_read import TIME, columns_read
from features.definitions.duration import microseconds
from features.definitions.fitted import QuantileBins, TargetEncoding, Tfidf
from features.definitions.history import Aggregate, Decayed, HistoryFeature, Lag
from features.definitions.label import FutureAggregate, Label, LabelColumn
from features.definitions.messages import nearest
from features.definitions.row import Arithmetic, Bucket, Calendar, Cross, Hash, Text
from features.definitions.source import Entity, Source
from features.definitions.view import Feature, FeatureView

_NUMBERS = ("int", "float", "bool")
_OF_NUMBERS = ("sum", "mean", "std")


def check_definitions(
    *,
    views: Mapping[str, FeatureView],
    entities: Mapping[str, Entity],
    sources: Mapping[str, Source],
    labels: Mapping[str, Label],
) -> None:
    """Raises `ValueError` at the first thing that cannot be meant.

    Args:
        views: Feature views by name.
        entities: Entities by name.
        sources: Sources by name.
        labels: Labels by name.
    """
    if not views:
        raise ValueError("views: none given")
    for name, entity in entities.items():
        if not entity.keys:
            raise ValueError(f"entities.{name}.keys: none given, an entity is told apart by at least one column")
    for name, source in sources.items():
        _check_source(source, f"sources.{name}")
    for name, label in labels.items():
        _check_label(label, f"labels.{name}", entities=entities, sources=sources)
    for name, view in views.items():
        _check_view(view, name, views=views, entities=entities, sources=sources, labels=labels)
    feature_order(views)


def feature_order(views: Mapping[str, FeatureView]) -> tuple[str, ...]:
    """Full names of all features, each after those that it reads.

    Args:
        views: Feature views by name.

    Raises:
        ValueError: Features read each other in a circle.
    """
    graph: dict[str, list[str]] = {}
    for name, view in views.items():
        for key, feature in view.features.items():
            read = () if isinstance(feature, HistoryFeature) else columns_read(feature)
            graph[f"{name}.{key}"] = [full for column in read if (full := feature_read(column, name, views))]
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"views: features read each other in a circle: {' -> '.join(error.args[1])}") from error


def feature_read(column: str, view: str, views: Mapping[str, FeatureView]) -> str | None:
    """Full name of the feature that a column of a row feature is.

    Args:
        column: Name as the feature reads it.
        view: Name of the view of the feature.
        views: Feature views by name.

    Returns:
        `view.feature`, or None if the column is one of the request.
    """
    if column in views[view].features and column not in views[view].request:
        return f"{view}.{column}"
    other, _, feature = column.partition(".")
    return column if other in views and feature in views[other].features else None


def _check_source(source: Source, place: str) -> None:
    clocks = [name for name in (source.time, source.available) if name is not None]
    if len(set(clocks)) < len(clocks):
        raise ValueError(f"{place}.available: {source.available!r} is the event time itself; leave it out")
    if source.time == TIME and source.columns.get(TIME) is not None:
        raise ValueError(f"{place}.columns.{TIME}: the event time is no value column")
    for name, length in source.time_plus.items():
        _duration(length, f"{place}.time_plus.{name}")
        _value_column(name, source, f"{place}.time_plus")
        if (kind := source.columns[name].type) != "int":
            raise ValueError(f"{place}.time_plus: {name!r} is {kind}, whole numbers are needed (type: int)")


def _check_label(label: Label, place: str, *, entities: Mapping[str, Entity], sources: Mapping[str, Source]) -> None:
    if isinstance(label, LabelColumn):
        return
    _known(label.source, sources, f"{place}.source")
    _known(label.entity, entities, f"{place}.entity")
    _duration(label.window, f"{place}.window")
    _check_aggregate(label, sources[label.source], place)


def _check_view(
    view: FeatureView,
    name: str,
    *,
    views: Mapping[str, FeatureView],
    entities: Mapping[str, Entity],
    sources: Mapping[str, Source],
    labels: Mapping[str, Label],
) -> None:
    place = f"views.{name}"
    if not view.features:
        raise ValueError(f"{place}.features: none given")
    if "." in name:
        raise ValueError(f"{place}: a name without a dot is needed")
    if view.source is not None:
        _known(view.source, sources, f"{place}.source")
    if view.entity is not None:
        _known(view.entity, entities, f"{place}.entity")
    if view.ttl is not None:
        _duration(view.ttl, f"{place}.ttl")
    leaks = {label.column: key for key, label in labels.items() if isinstance(label, LabelColumn)}
    for key, feature in view.features.items():
        here = f"{place}.features.{key}"
        if "." in key or key == TIME:
            raise ValueError(f"{here}: a name without a dot, and not {TIME!r}, is needed")
        if isinstance(feature, HistoryFeature):
            if view.source is None:
                raise ValueError(f"{here}: a feature of history needs {place}.source")
            _check_history(feature, sources[view.source], here)
        else:
            _check_row(feature, here, labels=labels)
            for column in columns_read(feature):
                if column in leaks and column not in view.features:
                    raise ValueError(
                        f"{here}: reads {column!r}, which is the label {leaks[column]!r}: at serving time nobody knows "
                        "it; use its past (kind: lag or aggregate), or kind: target_encoding"
                    )
                keys = entities[view.entity].keys if view.entity else {}
                known = {*view.request, *view.features, *keys, TIME}
                if column not in known and feature_read(column, name, views) is None:
                    raise ValueError(
                        f"{here}: column {column!r} is neither in {place}.request nor a feature{nearest(column, known)}"
                    )


def _check_history(feature: HistoryFeature, source: Source, place: str) -> None:
    if isinstance(feature, Aggregate):
        _check_aggregate(feature, source, place)
        if feature.window is not None and feature.rows is not None:
            raise ValueError(f"{place}: window {feature.window!r} and rows {feature.rows} given; give one of them")
        if feature.rows is not None and feature.rows < 1:
            raise ValueError(f"{place}.rows: {feature.rows} given, at least 1 is needed: the window ends before t")
        for key, length in (("window", feature.window), ("offset", feature.offset)):
            if length is not None:
                _duration(length, f"{place}.{key}")
    if isinstance(feature, Lag):
        if feature.rows < 1:
            raise ValueError(
                f"{place}.rows: {feature.rows} given, at least 1 is needed: 0 is the row itself, less is the future"
            )
        _value_column(feature.column, source, f"{place}.column")
    if isinstance(feature, Decayed):
        _duration(feature.half_life, f"{place}.half_life")
        _check_aggregate(feature, source, place)
    where = getattr(feature, "where", None)
    if where is not None:
        _value_column(where.column, source, f"{place}.where.column")


def _check_aggregate(feature: Aggregate | Decayed | FutureAggregate, source: Source, place: str) -> None:
    if feature.column is None:
        if feature.function != "count":
            raise ValueError(f"{place}.column: {feature.function} needs a column{nearest('', source.columns)}")
        return
    _value_column(feature.column, source, f"{place}.column")
    kind = source.columns[feature.column].type
    if feature.function in _OF_NUMBERS and kind not in _NUMBERS:
        raise ValueError(
            f"{place}.function: {feature.function} of {feature.column!r}, which is {kind}; numbers are needed"
        )


def _check_row(feature: Feature, place: str, *, labels: Mapping[str, Label]) -> None:
    if isinstance(feature, Arithmetic | Cross) and len(feature.columns) < 2:
        raise ValueError(f"{place}.columns: {list(feature.columns)} given, two or more are needed")
    if isinstance(feature, Text):
        _check_text(feature, place)
    if isinstance(feature, Calendar) and feature.encoding != "number" and feature.part in ("year", "is_weekend"):
        raise ValueError(f"{place}.encoding: {feature.part} has no circle; leave out encoding")
    if isinstance(feature, Bucket) and (not feature.edges or list(feature.edges) != sorted(set(feature.edges))):
        raise ValueError(f"{place}.edges: {list(feature.edges)} given, ascending numbers are needed")
    for key, least in (("buckets", 2), ("bins", 2), ("max_terms", 1), ("folds", 2)):
        if isinstance(feature, Hash | QuantileBins | Tfidf | TargetEncoding) and getattr(feature, key, least) < least:
            raise ValueError(f"{place}.{key}: {getattr(feature, key)} given, at least {least} is needed")
    if isinstance(feature, TargetEncoding):
        _known(feature.label, labels, f"{place}.label")
        if not feature.columns:
            raise ValueError(f"{place}.columns: none given")


def _check_text(feature: Text, place: str) -> None:
    if feature.column is not None and feature.columns:
        raise ValueError(
            f"{place}: column {feature.column!r} and columns {list(feature.columns)} given; give one of them"
        )
    read = columns_read(feature)
    if not read:
        raise ValueError(f"{place}: no column given; name a text column (column), or several (columns)")
    twins = sorted({name for name in read if read.count(name) > 1})
    if twins:
        raise ValueError(f"{place}: column {twins[0]!r} is named twice")


def _value_column(name: str, source: Source, place: str) -> None:
    if name not in source.columns:
        raise ValueError(f"{place}: {name!r} is no column of the source{nearest(name, source.columns)}")


def _known(name: str, names: Mapping[str, object], place: str) -> None:
    if name not in names:
        raise ValueError(f"{place}: {name!r} is not defined{nearest(name, names)}")


def _duration(length: str, place: str) -> None:
    try:
        microseconds(length)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
