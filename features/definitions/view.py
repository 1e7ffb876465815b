"""Feature views: named features of one entity, over one source."""

import msgspec

from features.definitions.base import Definition
from features.definitions.duration import Duration
from features.definitions.fitted import FittedFeature, Impute, QuantileBins, Scale, TargetEncoding, Tfidf, Vocabulary
from features.definitions.history import Aggregate, Decayed, HistoryFeature, Lag, TimeSince
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
from features.definitions.source import Column

# Unions that msgspec decodes by `kind` are written out: it takes no union of unions.
Feature = (
    Aggregate | Lag | TimeSince | Decayed
    | Given | Calendar | Arithmetic | Function | Elapsed | Cross | Bucket | Hash | Text
    | Scale | Impute | QuantileBins | Vocabulary | Tfidf | TargetEncoding
)  # fmt: skip


class FeatureView(Definition, frozen=True, kw_only=True):
    """Features of an entity.

    Attributes:
        features: Features by name.
        source: Source of the features of history; None if there are none.
        entity: Entity whose events the source holds; None if all events of the source are of one history.
        request: Columns that the caller gives beside keys and time.
        ttl: Age of the newest event of the entity from which all features of history are missing: `expired`.
        owner: Who answers for it.
        online: Whether `materialize` writes the view to online stores.
    """

    features: dict[str, Feature]
    source: str | None = None
    entity: str | None = None
    request: dict[str, Column] = msgspec.field(default_factory=dict)
    ttl: Duration | None = None
    owner: str = ""
    online: bool = True

    @property
    def history(self) -> dict[str, HistoryFeature]:
        """Features of the past."""
        return {name: feature for name, feature in self.features.items() if isinstance(feature, HistoryFeature)}

    @property
    def row(self) -> dict[str, RowFeature]:
        """Features of the row."""
        return {name: feature for name, feature in self.features.items() if isinstance(feature, RowFeature)}

    @property
    def fitted(self) -> dict[str, FittedFeature]:
        """Features with learned constants."""
        return {name: feature for name, feature in self.features.items() if isinstance(feature, FittedFeature)}
