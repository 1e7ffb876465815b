"""Labels: targets of a model. They may depend on the future; features may not depend on them."""

from features.definitions.base import FeatureDefinition
from features.definitions.duration import Duration
from features.definitions.history import Function, Where


class LabelColumn(FeatureDefinition, frozen=True, kw_only=True, tag="column"):
    """A column of the rows that are asked about.

    Attributes:
        column: The column.
    """

    column: str


class FutureAggregate(FeatureDefinition, frozen=True, kw_only=True, tag="future"):
    """An aggregate of the events of an entity from t on: [t, t + window). Without any event `sum` is 0.

    A row whose window ends after `Source.until`, or, where that is not given, after the last event of the source, is
    censored: its label is missing.

    Attributes:
        source: Name of the source.
        entity: Name of the entity.
        function: The aggregate.
        window: Length of time from t on.
        column: Column of the source; None for `count` of events.
        where: Condition on events.
    """

    source: str
    entity: str
    function: Function
    window: Duration
    column: str | None = None
    where: Where | None = None


Label = LabelColumn | FutureAggregate
