"""Alpha spending: how small the p-value of the next candidate has to be, after all candidates before it.

Every cycle is another look, and with many looks at 5 % something is promoted by chance. Alpha is spent as LORD++ spends
it (Ramdas, Yang, Wainwright, Jordan 2017, "Online control of the false discovery rate with decaying memory"). As long
as nothing was promoted, all cycles together have half of alpha: the probability of ever promoting without cause is at
most alpha / 2, however the cycles depend on each other. Each promotion earns alpha back, and the expected share of
promotions without cause stays below alpha. So a model that really has to follow its data keeps its power for years,
where a fixed sum would be spent after the first ones.
"""

import math
from collections.abc import Sequence

_DECAY = 1.5
_ZETA = 2.6123753486854883
"""Riemann's zeta of `_DECAY`: the weights sum to 1."""


def alpha_of_next(alpha: float, promoted: Sequence[bool]) -> float:
    """Largest p-value with which the next candidate passes.

    Args:
        alpha: What all cycles of the model may spend.
        promoted: Whether each candidate that was judged before was promoted, the first candidate first.

    Raises:
        ValueError: Alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: {alpha} given, a number between 0 and 1 is needed")
    number = len(promoted) + 1
    promotions = [place for place, done in enumerate(promoted, start=1) if done]
    first = alpha / 2
    earned = [alpha - first, *[alpha] * (len(promotions) - 1)][: len(promotions)]
    return math.fsum(
        [first * _weight(number), *(part * _weight(number - at) for part, at in zip(earned, promotions, strict=True))]
    )


def _weight(distance: int) -> float:
    return distance**-_DECAY / _ZETA
