"""Features online: the state of an entity, updated event by event, answers what the batch form would."""

from features.online.online_features import OnlineFeatures, Reading
from features.online.online_view import OnlineView

__all__ = ["OnlineFeatures", "OnlineView", "Reading"]
