"""Reasons for which a value is missing, the same codes as in the batch form."""

from enum import IntEnum


class Reason(IntEnum):
    """Why a value is missing."""

    PRESENT = 0
    NEVER = 1
    EXPIRED = 2
    NOT_YET_AVAILABLE = 3
    MISSING = 4
