"""Event test: e-values for "the challenger has more events than it may", from counts of two arms.

Each request is assigned to the challenger with a known probability, so the assignment itself is the randomness: an
event (a failure; an answer that took longer than a threshold) of two arms that are alike falls on the challenger with
exactly that probability, whatever the rate of events is and however it changes over time. The likelihood ratio of
"events are theta times as frequent" against that, multiplied over the events, is a martingale whose expectation is 1,
and so is its mean over a prior of theta: by Ville's inequality it ever exceeds 1 / alpha with probability alpha at
most. Looking after each event, or once a second, or whenever one likes is allowed; rare events need no approximation.
It assumes that requests are assigned independently: with sticky keys of few, busy entities it is only approximate.

Counts are kept by stratum, the requests of one assignment probability: a ramp in steps is a product of ratios.

References:
    Ville (1939), Etude critique de la notion de collectif. Robbins (1970), Statistical methods related to the law of
    the iterated logarithm. Grunwald, de Heide, Koolen (2024), Safe testing, JRSS-B 86(5). Turner, Ly, Grunwald (2024),
    Generic E-variables for exact sequential k-sample tests that allow for optional stopping.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class StratumEvents:
    """Events among the requests that were assigned with one probability.

    Attributes:
        share: Probability with which a request was assigned to the challenger.
        challenger: Events of the challenger.
        champion: Events of the champion.
        challenger_others: Requests of the challenger without the event.
        champion_others: Requests of the champion without the event.
    """

    share: float
    challenger: float
    champion: float
    challenger_others: float
    champion_others: float


_RATIOS = np.array([1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 100.0])


def rate_log_e_value(strata: Sequence[StratumEvents], *, margin: float = 0.0) -> float:
    """Log of the e-value against "the rate of the challenger is at most (1 + margin) times that of the champion".

    It uses the events alone, so the rate itself may be as low as it likes. The prior has thirteen ratios from 1.15 to
    100 times the tolerated one, of equal weight.

    Args:
        strata: Counts by assignment probability.
        margin: How much more frequent events may be; 0.1 is 10 %.
    """
    tolerated = 1.0 + margin
    share, own, other = _columns(strata, "share", "challenger", "champion")
    if not len(share):
        return 0.0
    return _mixture(_log_ratio(share, own, other, _RATIOS * tolerated) - _log_ratio(share, own, other, tolerated))


def exceedance_log_e_value(strata: Sequence[StratumEvents], *, rate: float) -> float:
    """Log of the e-value against "the event is no more frequent for the challenger", for events that are not rare.

    Requests without the event count too, which needs fewer requests than `rate_log_e_value`: if the event is more
    frequent for the challenger, its absence is less so. Valid for every rate; most powerful near the given one.

    Args:
        strata: Counts by assignment probability.
        rate: About how often the event occurs for the champion, e.g. 0.5 for latencies above their median.
    """
    columns = _columns(strata, "share", "challenger", "champion", "challenger_others", "champion_others")
    share, own, other, own_without, other_without = columns
    if not len(share):
        return 0.0
    odds = _RATIOS[:10] * rate / (1 - rate)
    raised = odds / (1 + odds)
    with_event = _log_ratio(share, own, other, raised / rate)
    without = _log_ratio(share, own_without, other_without, (1 - raised) / (1 - rate))
    return _mixture(with_event + without)


def _columns(strata: Sequence[StratumEvents], *names: str) -> tuple[npt.NDArray[np.float64], ...]:
    """Columns of the strata in which both arms may answer; elsewhere an event says nothing."""
    mixed = [stratum for stratum in strata if 0 < stratum.share < 1]
    return tuple(np.array([getattr(stratum, name) for stratum in mixed], dtype=np.float64) for name in names)


def _log_ratio(
    share: npt.NDArray[np.float64],
    own: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
    theta: npt.NDArray[np.float64] | float,
) -> npt.NDArray[np.float64]:
    """Log likelihood of "theta times as frequent" minus that of "as frequent", for each theta."""
    ratios = np.atleast_1d(np.asarray(theta, dtype=np.float64))[:, None]
    log_scale = np.log1p(share * (ratios - 1))
    return np.asarray(own.sum() * np.log(ratios[:, 0]) - ((own + other) * log_scale).sum(axis=1))


def _mixture(logs: npt.NDArray[np.float64]) -> float:
    largest = float(logs.max())
    return largest + math.log(float(np.exp(logs - largest).mean()))
