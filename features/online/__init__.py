"""Online features: state per entity, updated event by event; answers equal those of batch evaluation."""

from features.online.online_features import OnlineFeatures, Reading
from features.online.online_view import OnlineView

__all__ = ["OnlineFeatures", "OnlineView", "Reading"]
