"""Types and units of features, as far as the definitions say; a vector is a Tfidf feature."""

from collections.abc import Mapping

from features.definitions.checks import feature_read
from features.definitions.columns_read import TIME
from features.definitions.definitions import Definitions
from features.definitions.fitted import Impute, QuantileBins, Tfidf, Vocabulary
from features.definitions.history import Aggregate, Decayed, Lag, TimeSince
from features.definitions.row import Arithmetic, Bucket, Calendar, Cross, Elapsed, Function, Given, Hash, Text
from features.definitions.source import Column

_OWN_UNIT = ("count", "distinct")


def value_type(definitions: Definitions, name: str) -> str:
    """Type of the values of a feature: int, float, bool, str, text, datetime or vector.

    Args:
        definitions: Where it is defined.
        name: Full name, `view.feature`.
    """
    feature = definitions.feature(name)
    if isinstance(feature, Aggregate | Lag):
        function = feature.function if isinstance(feature, Aggregate) else "last"
        if function in _OWN_UNIT:
            return "int"
        column = _column_type(definitions, name, feature.column)
        return "float" if function in ("mean", "std") else "int" if (function, column) == ("sum", "bool") else column
    if isinstance(feature, Given):
        return _column_type(definitions, name, feature.column)
    if isinstance(feature, Calendar):
        return "float" if feature.encoding != "number" else "bool" if feature.part == "is_weekend" else "int"
    if isinstance(feature, Function):
        return "bool" if feature.function == "is_missing" else "float"
    if isinstance(feature, Bucket | Hash | QuantileBins | Vocabulary):
        return "int"
    if isinstance(feature, Text):
        return "text"
    return "str" if isinstance(feature, Cross) else "vector" if isinstance(feature, Tfidf) else "float"


def unit(definitions: Definitions, name: str) -> str:
    """Unit of a feature: its own, or that of the column whose values it has; "" for none.

    Args:
        definitions: Where it is defined.
        name: Full name, `view.feature`.
    """
    feature = definitions.feature(name)
    if feature.unit:
        return feature.unit
    if isinstance(feature, TimeSince | Elapsed):
        return feature.per
    if isinstance(feature, Aggregate) and feature.function in _OWN_UNIT:
        return ""
    if isinstance(feature, Decayed) and feature.function == "count":
        return ""
    if isinstance(feature, Arithmetic) and feature.op in "+-":
        units = {_column_unit(definitions, name, column) for column in feature.columns}
        return units.pop() if len(units) == 1 else ""
    if isinstance(feature, Aggregate | Decayed | Lag | Given | Impute):
        return _column_unit(definitions, name, feature.column)
    return ""


def _column_type(definitions: Definitions, name: str, column: str | None) -> str:
    other = feature_read(column or "", name.partition(".")[0], definitions.views)
    if other is not None and not _of_history(definitions, name):
        return value_type(definitions, other)
    known = _columns(definitions, name).get(column or "")
    return known.type if known else "datetime" if column == TIME else "float"


def _column_unit(definitions: Definitions, name: str, column: str | None) -> str:
    other = feature_read(column or "", name.partition(".")[0], definitions.views)
    if other is not None and not _of_history(definitions, name):
        return unit(definitions, other)
    known = _columns(definitions, name).get(column or "")
    return known.unit if known else ""


def _of_history(definitions: Definitions, name: str) -> bool:
    view, _, key = name.partition(".")
    return key in definitions.views[view].history


def _columns(definitions: Definitions, name: str) -> Mapping[str, Column]:
    view = definitions.views[name.partition(".")[0]]
    if _of_history(definitions, name) and view.source is not None:
        return definitions.sources[view.source].columns
    keys = definitions.entities[view.entity].keys if view.entity else {}
    return {key: Column(type=kind) for key, kind in keys.items()} | view.request
