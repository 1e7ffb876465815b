"""Latency thresholds of a canary: from the champion's first answers, which are not judged by them."""

from collections.abc import Sequence

from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION, Evidence
from lightning_app.serving.experiments.canary.state import Baseline, LatencyThreshold
from lightning_app.serving.experiments.sequential.event_test import StratumEvents

WARM_UP = 200
"""Answers of the champion that the thresholds are taken from."""
QUANTILES = (0.5, 0.9)
"""Of these latencies; a test each."""
_RATES = (0.02, 0.7)


def find_baseline(evidence: Evidence, *, margin: float) -> Baseline | None:
    """Thresholds of latency, once the champion has answered often enough while the challenger had a share.

    Args:
        evidence: What was counted.
        margin: How much slower the challenger may be; 0.1 is 10 %.
    """
    shares = [share for share in evidence.shares() if 0 < share < 1]
    counted = [
        (share, list(evidence.arm(CHALLENGER, share).latencies), list(evidence.arm(CHAMPION, share).latencies))
        for share in shares
    ]
    champion = [sum(bins) for bins in zip(*(theirs for _, _, theirs in counted if theirs), strict=True)]
    if sum(champion) < WARM_UP:
        return None
    thresholds = [_threshold(champion, evidence.bounds, quantile, margin) for quantile in QUANTILES]
    return Baseline(thresholds=thresholds, counted=counted)


def exceedances(evidence: Evidence, baseline: Baseline, threshold: LatencyThreshold) -> list[StratumEvents]:
    """Answers above a threshold, by the share of the challenger; those of the warm-up are left out.

    Args:
        evidence: What was counted.
        baseline: The warm-up.
        threshold: One of its thresholds.
    """
    before = {share: (own, other) for share, own, other in baseline.counted}
    strata = []
    for share in evidence.shares():
        own, other = evidence.arm(CHALLENGER, share).latencies, evidence.arm(CHAMPION, share).latencies
        own_before, other_before = before.get(share, ((), ()))
        above, below = _split(own, own_before, threshold.challenger_bin)
        champion_above, champion_below = _split(other, other_before, threshold.bin)
        strata.append(
            StratumEvents(
                share=share,
                challenger=above,
                champion=champion_above,
                challenger_others=below,
                champion_others=champion_below,
            )
        )
    return strata


def _threshold(counts: Sequence[int], bounds: Sequence[float], quantile: float, margin: float) -> LatencyThreshold:
    total, above, rates = sum(counts), sum(counts), []
    for count in counts[: len(bounds)]:
        above -= count
        rates.append(above / total)
    place = min(range(len(rates)), key=lambda index: abs(rates[index] - (1 - quantile)))
    raised = bounds[place] * (1 + margin)
    # A bound that is not above the raised threshold would ask for more than the margin; in the last bin none is.
    challenger = next((index for index in range(place, len(bounds)) if bounds[index] >= raised * 0.999), len(bounds))
    return LatencyThreshold(
        quantile=quantile,
        bin=place,
        challenger_bin=challenger,
        milliseconds=bounds[place],
        rate=min(max(rates[place], _RATES[0]), _RATES[1]),
    )


def _split(counts: Sequence[int], before: Sequence[int], last: int) -> tuple[int, int]:
    """Answers above and up to a bin, without those before."""
    above = sum(counts[last + 1 :]) - sum(before[last + 1 :])
    return above, sum(counts) - sum(before) - above
