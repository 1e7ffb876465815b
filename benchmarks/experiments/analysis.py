"""Analysis of experiments: whether its intervals hold while one looks, and what it costs."""

import tempfile
from collections.abc import Callable

import numpy as np

from benchmarks.measure import run
from benchmarks.page import table, verdict
from lightning_app.serving.experiments.analysis.statistics.effects import Curve, effect_curve
from lightning_app.serving.experiments.analysis.statistics.moments import Moments, Observations
from lightning_app.serving.experiments.analysis.statistics.sample_ratio import SampleRatio, SampleRatioBuilder

_RUNS = 1000
_REQUESTS = 10_000
_LOOKS = 200
_FIRST_SEED = 50_000
"""Seeds from 0 were looked at when it was decided how many keys an arm needs before anything is said."""
_CASES = {
    "two arms, half each": (2, "fixed"),
    "two arms, 10 % of the requests": (2, "small"),
    "two arms, share from 5 to 50 % while the rate doubles": (2, "ramp"),
    "three arms, Thompson sampling, rate moves by 50 %": (3, "thompson"),
}


def experiment_intervals(runs: int = _RUNS) -> str:
    """How often intervals and tests of the assignment are wrong where arms do not differ, looked at all the time."""
    rows = []
    for name, (num_arms, kind) in _CASES.items():
        found = [_without_difference(seed, num_arms, kind) for seed in range(_FIRST_SEED, _FIRST_SEED + runs)]
        sequence = np.mean([np.nanmax(np.abs(curve.estimate) - curve.radius) > 0 for curve, _ in found])
        peeked = np.mean([np.nanmax(np.abs(curve.estimate) - 1.96 * curve.standard_error) > 0 for curve, _ in found])
        once = np.mean([abs(curve.estimate[-1]) > 1.96 * curve.standard_error[-1] for curve, _ in found])
        ratio = np.mean([result.p_value < 0.05 for _, result in found])
        good = verdict(float(max(sequence, ratio)) <= 0.05)
        rows.append(f"{name}|{sequence:.1%}|{peeked:.1%}|{once:.1%}|{ratio:.1%}|<= 5 %, first and last|{good}")
    return (
        f"{runs:,} simulated experiments each, {_REQUESTS:,} requests, rewards of 0 and 1 at a rate of 0.1, "
        f"{_LOOKS} looks, level 95 %, seeds from {_FIRST_SEED:,} (nothing was tuned on these). Share of the experiments in which 0 is excluded at any look (confidence sequence; "
        "interval of one look, looked at again and again), at the end only, and in which the sequential test of the "
        "assignment is ever below 0.05.\n\n"
    ) + table("|sequence|one look, repeated|one look, once|assignment|aim|", *rows)


def experiment_analysis(requests: int = 1_000_000) -> str:
    """Time and memory of `experiment analyse` on a journal of a million predictions."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/journal.db"
        run("experiment_analysis", "make", url, str(requests))
        for name, words in (
            ("a key for each request", ["--key", "request"]),
            ("by 200,000 customers", ["--key", "entity", "--pre-period", "none"]),
            ("the same, and a rule on a column", ["--key", "entity", "--pre-period", "none", "--policy",
                                                  "large if amount > 10 else champion"]),
        ):  # fmt: skip
            cost = run("experiment_analysis", "analyse", url, *words)
            answer = cost.answer
            rows.append(f"{name}|{answer['wall_s']:.1f}|{answer['estimate']:.4f}")
    return (f"{requests:,} predictions of two arms with rewards in SQLite; the true difference is 0.1.\n\n") + table(
        "|s|difference", *rows
    )


def _without_difference(seed: int, num_arms: int, kind: str) -> tuple[Curve, SampleRatio]:
    random = np.random.default_rng(seed)
    at = np.arange(_REQUESTS)
    late = at >= _REQUESTS // 2
    rates = np.full(_REQUESTS, 0.1)
    if kind == "thompson":
        rates = 0.1 * (1 + 0.5 * np.sin(6 * at / _REQUESTS))
        arms, probabilities, rewards = _thompson(random, num_arms, rates)
    else:
        shares = {"fixed": np.full(_REQUESTS, 0.5), "small": np.full(_REQUESTS, 0.1)}.get(kind)
        if shares is None:
            shares, rates = np.where(late, 0.5, 0.05), np.where(late, 0.2, 0.1)
        arms = (random.random(_REQUESTS) < shares).astype(np.int64)
        probabilities = np.where(arms == 1, shares, 1 - shares)
        rewards = (random.random(_REQUESTS) < rates).astype(float)
    looks = at * _LOOKS // _REQUESTS
    moments, ratio = Moments(num_arms=num_arms, num_looks=_LOOKS), SampleRatioBuilder(list("abc")[:num_arms],
                                                                                      num_looks=_LOOKS)  # fmt: skip
    weights = 4 * (1 - probabilities) if num_arms == 2 else 1 / probabilities
    rows = Observations(
        looks=looks, arms=arms, weights=weights, rewards=rewards - 0.1, before=np.zeros(_REQUESTS), keys=at
    )
    moments.add(rows, keys_are_requests=True)
    moments.finish()
    ratio.add(looks, arms, probabilities)
    return effect_curve(moments, 1, 0, alpha=0.05), ratio.result()


def _thompson(
    random: np.random.Generator, num_arms: int, rates: np.ndarray, *, batch: int = 100, floor: float = 0.05
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arms, probabilities and rewards of a bandit that learns after every batch."""
    won, lost = np.ones(num_arms), np.ones(num_arms)
    parts = []
    for begin in range(0, len(rates), batch):
        best = np.bincount(random.beta(won, lost, (200, num_arms)).argmax(axis=1), minlength=num_arms) / 200
        shares = floor + (1 - num_arms * floor) * best
        arms = random.choice(num_arms, batch, p=shares / shares.sum())
        rewards = (random.random(batch) < rates[begin : begin + batch]).astype(float)
        np.add.at(won, arms, rewards)
        np.add.at(lost, arms, 1 - rewards)
        parts.append((arms, shares[arms], rewards))
    arms, probabilities, rewards = (np.concatenate(values) for values in zip(*parts, strict=True))
    return arms, probabilities, rewards


SECTIONS: dict[str, Callable[[], str]] = {
    "experiment_intervals": experiment_intervals, "experiment_analysis": experiment_analysis,
}  # fmt: skip
