"""Reasons why a feature of history is missing, one code per value.

    0 present
    1 never              no event of the entity before t, or the entity was never seen
    2 expired            the newest visible event is older than the view's ttl; or the entity has visible events, but
                         none that the feature is over (window, condition, as many as the lag goes back)
    3 not_yet_available  no event is visible at t, but some before t became available after t
    4 missing            the feature has events, but their values are null or too few for it; or the key or the time of
                         the row is null

Reasons look at all events of the entity, whether they meet the feature's `where` or not.
"""

from enum import IntEnum

import polars as pl


class Reason(IntEnum):
    """Why a value is missing."""

    PRESENT = 0
    NEVER = 1
    EXPIRED = 2
    NOT_YET_AVAILABLE = 3
    MISSING = 4


REASONS = pl.Enum(["present", "never", "expired", "not_yet_available", "missing"])
"""Type of columns of reasons; its categories are in the order of the codes."""
