"""Alpha spending: how candidates of many cycles are judged against one champion without one passing by chance.

Every cycle is another look, and with many looks at 5 % something is promoted by chance. Each champion has one alpha:
the probability that it is ever replaced without cause, however many candidates it meets. A candidate passes in one of
two ways, each of which has half of it:

- by its own p-value, if that is below its part of the first half; the parts become smaller from candidate to candidate
  (Bonferroni with weights, which holds however the candidates depend on each other);
- by evidence that adds up over the candidates, as it does after a drift that makes every one of them a little better:
  an e-process, in which the normal scores of the p-values add up from an unknown candidate on. It passes at 2 / alpha
  (Ville's inequality). Only candidates whose rows are later than those of the one before count in it.

A champion that was promoted begins anew with its own alpha. So a model that has to follow its data keeps its power,
where one sum for all times would be spent after the first promotions.

References:
    Robbins (1970), Statistical methods related to the law of the iterated logarithm, for the mixture. Shin, Ramdas,
    Rinaldo (2024), E-detectors: a nonparametric framework for sequential change detection, for the unknown beginning.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from msgspec import Struct

_DECAY = 1.5
_ZETA = 2.6123753486854883
"""Riemann's zeta of `_DECAY`: the weights sum to 1."""
_SPREAD = 1.5
"""Standard deviation of the normal score of a candidate that is better, under the mixture."""
_MOST_P_VALUE = 0.1
"""Of a candidate that passes by the evidence of those before it too: it has to be one of the better ones itself."""
_NORMAL = NormalDist()


class Look(Struct, frozen=True, kw_only=True):
    """A candidate that was judged.

    Attributes:
        p_value: Of "it is not better than the margin asks".
        since: First moment of the rows it was judged on, Unix seconds.
        until: Last moment of them.
    """

    p_value: float
    since: float | None = None
    until: float | None = None


class Spending(Struct, frozen=True, kw_only=True):
    """What a candidate needs to pass.

    Attributes:
        alpha: Largest p-value with which it passes by itself.
        evidence: Evidence of all candidates so far together; None if the rows of this one are those of an earlier one.
        evidence_needed: Evidence with which it passes.
    """

    alpha: float
    evidence: float | None
    evidence_needed: float

    def passes(self, p_value: float) -> bool:
        """Whether the candidate passes, by itself or together with those before it.

        Args:
            p_value: Of "it is not better than the margin asks".
        """
        together = self.evidence is not None and self.evidence >= self.evidence_needed
        return p_value <= self.alpha or (together and p_value <= _MOST_P_VALUE)


def spend(alpha: float, looks: Sequence[Look]) -> Spending:
    """What the last of several candidates of one champion needs to pass.

    Args:
        alpha: Probability with which the champion may be replaced without cause.
        looks: Candidates that were judged against it, the last one of which is asked about.

    Raises:
        ValueError: Alpha is not between 0 and 1, or there is no candidate.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: {alpha} given, a number between 0 and 1 is needed")
    if not looks:
        raise ValueError("looks: none given, the candidate that is asked about is needed")
    # A p-value of 1 is that of a candidate of which nothing could be said: nobody has looked.
    scores, last = list[float](), -math.inf
    is_fresh, seen = False, [look for look in looks if look.p_value < 1]
    for look in seen:
        since = look.since if look.since is not None else math.inf
        is_fresh = look.since is None or since > last
        if is_fresh:
            scores.append(-_NORMAL.inv_cdf(min(max(look.p_value, 1e-300), 1 - 1e-15)))
            last = last if look.until is None else look.until
    return Spending(
        alpha=alpha / 2 * _weight(max(1, len(seen))),
        evidence=_evidence(scores) if is_fresh and looks[-1].p_value < 1 else None,
        evidence_needed=2 / alpha,
    )


def _evidence(scores: Sequence[float]) -> float:
    """Mixture over the candidate from which on all are better: its weight, times the evidence from it on."""
    unspent, total, value = 1.0, 0.0, 0.0
    for begin in range(len(scores)):
        unspent -= _weight(begin + 1)
    for begin in range(len(scores) - 1, -1, -1):
        total += scores[begin]
        value += _weight(begin + 1) * math.exp(min(700.0, _log_mixture(total, len(scores) - begin)))
    return value + max(0.0, unspent)


def _log_mixture(total: float, count: int) -> float:
    """Log of the mean likelihood ratio of scores whose mean is half-normal, against a mean of 0."""
    growth = 1 + count * _SPREAD**2
    tail = _NORMAL.cdf(_SPREAD * total / math.sqrt(growth))
    if tail <= 0:
        return -700.0
    return math.log(2.0) - 0.5 * math.log(growth) + _SPREAD**2 * total**2 / (2 * growth) + math.log(tail)


def _weight(number: int) -> float:
    return number**-_DECAY / _ZETA
