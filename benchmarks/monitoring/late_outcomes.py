"""Late outcomes: bias of the metric of recent weeks as it is read off the outcomes at hand, and corrected."""

import numpy as np
import polars as pl

from benchmarks.page import table, verdict
from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality import ModelFacts, quality_results
from lightning_app.monitoring.report.structs import Window

_NOW, _DAY = 1_800_000_000.0, 86_400.0
_CHURN = AnswerForm(kind="classes", name="probabilities", labels=("stays", "leaves"))
_PRICE = AnswerForm(kind="number", name="price")
_SETTINGS = QualitySettings(outcome_within="21d")
_FIRST_SEED = 40_000


def late_outcomes(runs: int = 100, rows: int = 20_000) -> str:
    """Metrics of recent windows by the outcomes at hand, and weighted by their delays."""
    lines = []
    for name, simulate in _CASES.items():
        for first, last in ((0, 7), (4, 11), (7, 14)):
            errors = [simulate(np.random.default_rng(_FIRST_SEED + run), rows, (first, last)) for run in range(runs)]
            known = [one for one in errors if one is not None]
            if not known:
                lines.append(f"{name}|{first} to {last} days|||||not judged|")
                continue
            naive, ours, inside, share = (np.array(part) for part in zip(*known, strict=True))
            good = verdict(bool(abs(ours.mean()) <= abs(naive.mean()) / 5 and inside.mean() >= 0.95))
            lines.append(
                f"{name}|{first} to {last} days|{share.mean():.0%}|{naive.mean():+.4f}|{ours.mean():+.4f}|"
                f"{ours.std():.4f}|{inside.mean():.0%}|{good}"
            )
    return (
        f"{runs} simulated journals of {rows:,} requests over 60 days each. Outcomes come within 21 days, bad news (or "
        "large outcomes) sooner. Bias of the metric of the outcomes at hand, and of ours, against that of the same rows "
        "once all outcomes are known; share of the runs whose interval (95 %) has it. The aim is a fifth of the bias, "
        "and 95 %.\n\n"
        + table("case|age of the requests|labelled|bias at hand|bias weighted|spread|in interval|aim", *lines)
    )  # fmt: skip


def _churn(random: np.random.Generator, count: int, days: tuple[int, int]) -> tuple[float, float, bool, float] | None:
    scores = 1 / (1 + np.exp(1 - 1.5 * random.normal(size=count)))
    leaves = random.random(count) < scores
    delays = np.where(leaves, random.exponential(2, count), random.gamma(3.0, 2.0, count))
    answers = pl.Series(np.stack([1 - scores, scores], axis=1)).arr.to_list()
    right = (scores > 0.5) == leaves
    outcomes = pl.Series(np.where(leaves, "leaves", "stays"))
    return _judged({"prediction.probabilities": answers}, outcomes, right, random, delays, days, _CHURN)


def _damage(random: np.random.Generator, count: int, days: tuple[int, int]) -> tuple[float, float, bool, float] | None:
    answers = random.normal(10, 2, count)
    outcomes = answers + random.normal(0, 1, count) * (1 + (answers > 12))
    delays = random.gamma(2.0, np.where(outcomes > 12, 1.0, 3.0))
    errors = np.abs(answers - outcomes)
    columns = {"prediction.price": pl.Series(answers)}
    return _judged(columns, pl.Series(outcomes), errors, random, delays, days, _PRICE)


def _judged(
    columns: dict[str, pl.Series],
    outcomes: pl.Series,
    errors: np.ndarray,
    random: np.random.Generator,
    delays: np.ndarray,
    days: tuple[int, int],
    form: AnswerForm,
) -> tuple[float, float, bool, float] | None:
    count = len(outcomes)
    ages = random.uniform(0, 60, count)
    # A request of a future that is known: outcomes later than 21 days do not count for either.
    chosen = (ages > days[0]) & (ages <= days[1])
    known = pl.Series(delays <= ages)
    moments = [pl.Series(((_NOW - (ages - part) * _DAY) * 1e6).astype(np.int64)).cast(pl.Datetime("us", "UTC"))
               for part in (0.0, delays)]  # fmt: skip
    rows = pl.DataFrame(columns).with_columns(
        pl.select(pl.when(known).then(outcomes)).to_series().alias("journal.outcome"),
        pl.select(pl.when(known).then(moments[1])).to_series().alias("journal.outcome_time"),
        pl.Series("journal.request_id", np.arange(count).astype(str)), moments[0].alias("journal.time"),
        pl.lit(None, pl.String).alias("journal.degraded"), pl.lit("champion").alias("journal.arm"),
    )  # fmt: skip
    window = Window(since=_NOW - days[1] * _DAY, until=_NOW - days[0] * _DAY)
    facts = ModelFacts(form=form)
    [result] = quality_results(rows, version="m@1", facts=facts, settings=_SETTINGS, window=window, now=_NOW)
    if not result.metrics or result.metrics[0].value is None:
        return None
    found = result.metrics[0]
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    in_time = chosen & (delays <= 21)
    truth = errors[in_time].mean()
    at_hand = errors[chosen & (delays <= ages)].mean()
    is_inside = bool(found.low <= truth <= found.high)
    return at_hand - truth, found.value - truth, is_inside, float((delays <= ages)[chosen].mean())


_CASES = {"churn, accuracy": _churn, "claims, absolute error": _damage}
