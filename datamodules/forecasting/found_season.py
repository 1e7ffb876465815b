"""FoundSeason: the period of a table of series, as its training rows show it, and what is said about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.series.season import Season, find_seasons, season_strength

_AS_GOOD = 0.9  # of the strength of the found season: another period with that much is as good
_WITHOUT = "RidgeForecaster, WindowLinear, PatchTransformer and RepeatLast need none"


@dataclass(frozen=True)
class FoundSeason:
    """The seasons of the training rows, and the one that windows of a look-back can show.

    Args:
        tables: Training rows, float64 (T, C) each, NaN where nothing was observed.
        calendar: Periods of the calendar in rows.
        look_back: Input rows of a window, the longest period to take.
    """

    tables: Sequence[np.ndarray]
    calendar: tuple[int, ...]
    look_back: int

    @cached_property
    def seasons(self) -> tuple[Season, ...]:
        """All that were found, the one to take first."""
        return find_seasons(self.tables, calendar=self.calendar)

    @cached_property
    def chosen(self) -> Season | None:
        """The first season that is not longer than the look-back; None if there is none."""
        return next((season for season in self.seasons if season.rows <= self.look_back), None)

    def describe(self) -> str:
        """How the chosen season was found, in words.

        Raises:
            ValueError: There is none; what to do instead.
        """
        if self.chosen is not None:
            return f"found in the training rows (strength {self.chosen.strength:.2f})"
        if self.seasons:
            season = self.seasons[0]
            raise ValueError(
                f"the season found in the training rows, of {season.rows} rows (strength {season.strength:.2f}), is "
                f"longer than data.look_back {self.look_back}: raise data.look_back"
            )
        raise ValueError(
            f"no season was found in the training rows: give a period by hand, or choose a network that needs none "
            f"({_WITHOUT})"
        )

    def doubts(self, period: int) -> str | None:
        """What the training rows say against a period that was given; None if it is as good as the one found."""
        strength = season_strength(self.tables, period)
        if self.chosen is None:
            longer = self.seasons[0] if self.seasons else None
            if longer is not None and strength >= _AS_GOOD * longer.strength:
                return None
            what = "no season" if longer is None else f"no season but one of {longer.rows} rows, beyond data.look_back,"
            return f"{what} was found in the training rows (strength {strength:.2f} at {period}); {_WITHOUT}"
        found = self.chosen
        if period == found.rows or strength >= _AS_GOOD * found.strength:
            return None
        return (
            f"the training rows repeat every {found.rows} rows (strength {found.strength:.2f}, "
            f"{strength:.2f} at {period})"
        )
