"""Features online: the state of an entity, updated event by event, answers what the batch form would."""

from features.online.online_view import OnlineView
from features.online.reasons import Reason

__all__ = ["OnlineView", "Reason"]
