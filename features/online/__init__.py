"""Features online: the state of an entity, updated event by event, answers what the batch form would."""

from features.batch.reasons import Reason
from features.online.online_view import OnlineView

__all__ = ["OnlineView", "Reason"]
