"""Definitions of features: typed, immutable, equal to their YAML form key by key."""

from features.definitions.definitions import Definitions
from features.definitions.fitted import FittedFeature, Impute, QuantileBins, Scale, TargetEncoding, Tfidf, Vocabulary
from features.definitions.history import Aggregate, Decayed, HistoryFeature, Lag, TimeSince, Where
from features.definitions.label import FutureAggregate, Label, LabelColumn
from features.definitions.row import (
    Arithmetic,
    Bucket,
    Calendar,
    Cross,
    Elapsed,
    Function,
    Given,
    Hash,
    RowFeature,
    Text,
)
from features.definitions.source import Column, CsvFormat, Entity, Source
from features.definitions.view import Feature, FeatureView

__all__ = [
    "Aggregate",
    "Arithmetic",
    "Bucket",
    "Calendar",
    "Column",
    "Cross",
    "CsvFormat",
    "Decayed",
    "Definitions",
    "Elapsed",
    "Entity",
    "Feature",
    "FeatureView",
    "FittedFeature",
    "Function",
    "FutureAggregate",
    "Given",
    "Hash",
    "HistoryFeature",
    "Impute",
    "Label",
    "LabelColumn",
    "Lag",
    "QuantileBins",
    "RowFeature",
    "Scale",
    "Source",
    "TargetEncoding",
    "Text",
    "Tfidf",
    "TimeSince",
    "Vocabulary",
    "Where",
]
