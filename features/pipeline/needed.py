"""Columns that a selection of features needs of the tables that a user gives."""

from collections.abc import Sequence

from features.definitions import Definitions, HistoryFeature
from features.definitions.columns_read import TIME, columns_read
from features.rows import required_features


def request_columns(definitions: Definitions, features: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Columns of the rows that features read, beside keys and time.

    Args:
        definitions: The definitions.
        features: Full names.

    Returns:
        Column name to its type and unit.
    """
    columns: dict[str, tuple[str, str]] = {}
    for full in required_features(definitions, features):
        view, _, name = full.partition(".")
        content = definitions.views[view]
        if isinstance(content.features[name], HistoryFeature):
            continue
        for column in columns_read(content.features[name]):
            if column in content.request:
                columns[column] = (content.request[column].type, content.request[column].unit)
    return columns


def key_types(definitions: Definitions, features: Sequence[str]) -> dict[str, str]:
    """Key columns, and their types, of the entities whose features are needed.

    Args:
        definitions: The definitions.
        features: Full names.
    """
    keys: dict[str, str] = {}
    for full in required_features(definitions, features):
        view, _, name = full.partition(".")
        content = definitions.views[view]
        if content.entity is None:
            continue
        types = definitions.entities[content.entity].keys
        is_history = isinstance(content.features[name], HistoryFeature)
        read = set(types) if is_history else {*columns_read(content.features[name])} & types.keys()
        keys |= {key: types[key] for key in read}
    return keys


def event_columns(definitions: Definitions, features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Columns of each source that features of history read, its clocks and ids included.

    Args:
        definitions: The definitions.
        features: Full names.
    """
    columns: dict[str, dict[str, None]] = {}
    for full in required_features(definitions, features):
        view, _, name = full.partition(".")
        content = definitions.views[view]
        feature = content.features[name]
        if not isinstance(feature, HistoryFeature):
            continue
        assert content.source is not None
        source = definitions.sources[content.source]
        keys = definitions.entities[content.entity].keys if content.entity else {}
        own = [source.keys.get(key, key) for key in keys]
        clocks = [source.time, *source.time_plus, *([source.available] if source.available else [])]
        read = columns.setdefault(content.source, {})
        read |= dict.fromkeys([*own, *clocks, *source.event_id, *columns_read(feature)])
    return {name: tuple(read) for name, read in columns.items()}


def reads_time(definitions: Definitions, features: Sequence[str]) -> bool:
    """Whether a feature depends on the time that is asked about."""
    for full in required_features(definitions, features):
        view, _, name = full.partition(".")
        feature = definitions.views[view].features[name]
        if isinstance(feature, HistoryFeature) or TIME in columns_read(feature):
            return True
    return False
