"""Automatic sizes of windows: a horizon and a look-back from the length of a series and its season."""

from dataclasses import dataclass

_HORIZON = 24
"""Rows to forecast where there is no season."""
_LEAST_BLOCKS = 4
"""Horizons that the windows of the validation split have to span, for a choice on it to have a standard error."""
_LONGEST = 720
_SHARE = 3
"""Part of the training rows that a look-back may take at most is one in this many."""


@dataclass(frozen=True)
class AutomaticSizes:
    """Sizes of windows.

    Attributes:
        look_back: Input rows.
        horizon: Forecast rows.
    """

    look_back: int
    horizon: int


def automatic_sizes(*, train: int, val: int, season: int | None, horizon: int | None = None) -> AutomaticSizes:
    """Sizes for a split.

    The horizon is one season, or 24 rows without one, and at most what leaves as many validation windows as four
    horizons have rows. The look-back is 720 rows, or two seasons and the horizon if these are longer, and at most a
    third of the training rows.

    Args:
        train: Training rows.
        val: Validation rows.
        season: Rows of one season; None if there is none.
        horizon: The horizon, if it is given.
    """
    chosen = horizon or max(1, min(season or _HORIZON, (val + 1) // (_LEAST_BLOCKS + 1)))
    wanted = max(_LONGEST, 2 * (season or 0) + chosen)
    return AutomaticSizes(look_back=max(1, min(wanted, (train - chosen) // _SHARE)), horizon=chosen)
