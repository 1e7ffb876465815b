"""Live quality: estimates before outcomes, intervals that are looked at all the time, and outcomes that come late."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.monitoring.late_outcomes import late_outcomes
from benchmarks.page import table, verdict
from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import read_points
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality import ModelFacts, model_facts
from lightning_app.monitoring.quality.estimated import estimated_metrics
from lightning_app.monitoring.quality.metrics.measured import measured_metrics
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.report.structs import MetricEstimate
from lightning_app.packaging import TensorSpec

_WINDOWS = 200
_ROWS = 5000
_SETTINGS = QualitySettings()
_INCOME = AnswerForm(kind="classes", name="probabilities", labels=("<=50K", ">50K"))
_VALUE = AnswerForm(kind="number", name="value")
_BEYOND = "root of the squared error, skewed: squares without usable moments"
_LOOKS = np.unique(np.geomspace(100, 20_000, 40).astype(int))
_FIRST_SEED = 30_000


def quality_estimates(windows: int = _WINDOWS) -> str:
    """Metrics estimated before outcomes come, against those measured, under shifts of the inputs; Adult, California."""
    lines = []
    for name, form, held_out, rest, inputs, metrics in _models():
        output = TensorSpec(form.name, "float32", ("batch", *((2,) if form.labels else ())))
        facts = model_facts((output,), form.labels or None, reference=None, sample=held_out, settings=_SETTINGS)
        usual = {one.metric: one for one in _measured(held_out, form)}
        errors: dict[str, list[tuple[float, float, bool]]] = {metric: [] for metric in metrics}
        for seed in range(windows):
            window = rest[_shifted(rest, inputs, np.random.default_rng(_FIRST_SEED + seed))]
            measured = {one.metric: one for one in _measured(window, form)}
            estimated = {one.metric: one for one in _estimated(window, facts, form)}
            for metric in metrics:
                truth, guess = measured[metric].value, estimated[metric]
                assert truth is not None
                assert guess.value is not None
                assert guess.low is not None
                assert guess.high is not None
                before = usual[metric].value
                assert before is not None
                errors[metric].append((guess.value - truth, before - truth, guess.low <= truth <= guess.high))
        for metric in metrics:
            ours, as_is, covered = (np.array(part) for part in zip(*errors[metric], strict=True))
            ratio = np.abs(ours).mean() / np.abs(as_is).mean()
            good = verdict(bool(ratio <= 0.5)) if metric == metrics[0] else ""
            lines.append(
                f"{name}|{metric}|{usual[metric].value:.4g}|{np.abs(as_is).mean():.4g}|{np.abs(ours).mean():.4g}|"
                f"{ratio:.2f}|{covered.mean():.0%}|{good}"
            )
    return (
        f"{windows} windows of {_ROWS:,} rows each, drawn from rows that neither the model nor its reference have seen, "
        "with weights that shift two of the inputs at random by up to a standard deviation. Mean absolute distance of "
        "the metric estimated without outcomes from that measured with them, beside that of the held-out metric taken as "
        "it is; share of the windows in which the interval (95 %) has the measured one. The aim for the "
        "main metric is half the error of the held-out one.\n\n"
        + table("model|metric|held out|error as is|error estimated|ratio|in interval|aim", *lines)
    )  # fmt: skip


def quality_intervals(runs: int = 200) -> str:
    """Confidence sequences of metrics, looked at all the time."""
    lines = []
    for name, (draw, metric, form) in _CASES.items():
        missed = peeked = 0
        widths = []
        truth = _truth(draw, metric, form)
        for seed in range(_FIRST_SEED, _FIRST_SEED + runs):
            rows, clusters = draw(np.random.default_rng(seed), int(_LOOKS[-1]))
            outside = naive = False
            for look in _LOOKS:
                found = _of_sample(rows.head(look), form, None if clusters is None else clusters[:look], metric)
                assert found.value is not None
                assert found.low is not None
                assert found.high is not None
                outside |= not found.low <= truth <= found.high
                half = (found.high - found.low) / 2
                naive |= abs(found.value - truth) > 1.96 * half / _unit(
                    look if clusters is None else clusters[look - 1]
                )
            missed += outside
            peeked += naive
            widths.append(half)
        good = "" if name == _BEYOND else verdict(missed / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs))
        lines.append(f"{name}|{missed / runs:.1%}|{peeked / runs:.1%}|{np.mean(widths):.3g}|{good}")
    return (
        f"{runs} simulated streams of {_LOOKS[-1]:,} rows, {len(_LOOKS)} looks at from {_LOOKS[0]} rows on, level 95 %. "
        "Share of the streams in which the true value is ever outside: of the confidence sequence, and of an interval "
        "for one look that is looked at again and again. The aim is 5 %, and two standard deviations of the "
        "simulation.\n\n" + table("metric|sequence|one look, repeated|half width at the end|aim", *lines)
    )  # fmt: skip


def _models() -> Iterator[tuple[str, AnswerForm, pl.DataFrame, pl.DataFrame, list[str], list[str]]]:
    """Name, form, held-out rows, further rows, shifted inputs, and metrics."""
    rows, truth = _adult()
    random = np.random.default_rng(0)
    order = random.permutation(len(rows))
    train, test, rest = order[:16_000], order[16_000:21_000], order[21_000:]
    features = rows.to_dummies(_texts(rows)).to_numpy().astype(np.float64)
    inputs = ["age", "education_num", "hours"]
    for name, model in (
        ("Adult, gradient boosting", HistGradientBoostingClassifier(random_state=0)),
        ("Adult, logistic regression", make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))),
        ("Adult, random forest", RandomForestClassifier(100, random_state=0)),
        ("Adult, naive Bayes", make_pipeline(StandardScaler(), GaussianNB())),
    ):
        model.fit(features[train], truth[train])
        answers = model.predict_proba(features)
        whole = rows.with_columns(
            pl.Series("prediction.probabilities", answers.tolist()),
            outcome=pl.Series(np.where(truth, _INCOME.labels[1], _INCOME.labels[0])),
        )
        yield name, _INCOME, whole[test], whole[rest], inputs, ["accuracy", "auroc", "log_loss", "brier", "macro_f1"]
    houses = pl.read_csv(_data() / "california_housing" / "housing.csv").drop("ocean_proximity").fill_null(0)
    values = houses["median_house_value"].to_numpy() / 1000
    features = houses.drop("median_house_value").to_numpy()
    order = random.permutation(len(houses))
    train, test, rest = order[:8000], order[8000:12_000], order[12_000:]
    regressor = HistGradientBoostingRegressor(random_state=0).fit(features[train], values[train])
    inputs = ["median_income", "housing_median_age", "latitude"]
    whole = houses.drop("median_house_value").with_columns(
        pl.Series("prediction.value", regressor.predict(features)), outcome=pl.Series(values)
    )
    yield "California housing, gradient boosting", _VALUE, whole[test], whole[rest], inputs, ["mae", "rmse"]


def _texts(rows: pl.DataFrame) -> list[str]:
    return [name for name, kind in rows.schema.items() if kind == pl.String]


def _adult() -> tuple[pl.DataFrame, np.ndarray]:
    names = [
        "age", "workclass", "weight", "education", "education_num", "marital", "occupation", "relationship", "race",
        "sex", "gain", "loss", "hours", "country", "income",
    ]  # fmt: skip
    parts = []
    for file, skipped in (("adult.data", 0), ("adult.test", 1)):
        text = (_data() / "adult" / file).read_text().splitlines()[skipped:]
        lines = [[value.strip(" .") for value in line.split(",")] for line in text if line.count(",") == 14]
        parts.append(pl.DataFrame(lines, schema=names, orient="row"))
    whole = pl.concat(parts).drop("education", "country", "weight")
    numbers = ["age", "education_num", "gain", "loss", "hours"]
    whole = whole.with_columns(pl.col(numbers).cast(pl.Float64))
    return whole.drop("income"), (whole["income"] == ">50K").to_numpy()


def _data() -> Path:
    return Path(os.environ.get("LIGHTNING_APP_DATA", "data"))


def _shifted(rows: pl.DataFrame, inputs: list[str], random: np.random.Generator) -> np.ndarray:
    """Rows of a window in which two inputs are shifted."""
    logits = np.zeros(len(rows))
    for name in random.choice(inputs, 2, replace=False):
        values = rows[str(name)].to_numpy().astype(float)
        logits += random.uniform(-1, 1) * np.clip((values - values.mean()) / values.std(), -3, 3)
    weights = np.exp(logits)
    return random.choice(len(rows), _ROWS, p=weights / weights.sum())


def _measured(rows: pl.DataFrame, form: AnswerForm) -> list[MetricEstimate]:
    points = read_points(rows, form)
    outcomes = read_outcomes(rows, points, form)
    truth = outcomes.numbers if outcomes.classes is None else outcomes.classes
    assert truth is not None
    sample = Sample(weights=np.ones(len(truth)))
    return measured_metrics(points, truth, sample, form, settings=_SETTINGS, alpha=0.05, by_class=False)


def _estimated(rows: pl.DataFrame, facts: ModelFacts, form: AnswerForm) -> list[MetricEstimate]:
    points = read_points(rows, form)
    if facts.answer_model is not None:
        points.conditions = facts.answer_model.conditions(rows, points)
    sample = Sample(weights=np.ones(len(rows)))
    assert facts.held_out is not None
    return estimated_metrics(points, sample, facts.held_out, form, settings=_SETTINGS, alpha=0.05, by_class=False)[0]


def _of_sample(rows: pl.DataFrame, form: AnswerForm, clusters: np.ndarray | None, metric: str) -> MetricEstimate:
    points = read_points(rows, form)
    outcomes = read_outcomes(rows, points, form)
    truth = outcomes.numbers if outcomes.classes is None else outcomes.classes
    assert truth is not None
    sample = Sample(weights=np.ones(len(truth)), clusters=clusters)
    settings = QualitySettings(metrics=(metric,))
    return measured_metrics(points, truth, sample, form, settings=settings, alpha=0.05, by_class=False)[0]


def _unit(count: float) -> float:
    """Half widths of a confidence sequence in standard errors."""
    from lightning_app.monitoring.quality.expected.expectation import radius_of

    return radius_of(1.0, float(count), alpha=0.05)


def _truth(draw: "_Draw", metric: str, form: AnswerForm) -> float:
    """The metric of a million rows."""
    rows, _ = draw(np.random.default_rng(1), 1_000_000)
    value = _of_sample(rows, form, None, metric).value
    assert value is not None
    return value


_Draw = Callable[[np.random.Generator, int], tuple[pl.DataFrame, np.ndarray | None]]


def _class_rows(random: np.random.Generator, count: int, *, rate: float = 0.0) -> tuple[pl.DataFrame, None]:
    scores = 1 / (1 + np.exp(rate - 1.5 * random.normal(size=count)))
    came = np.where(random.random(count) < scores, _INCOME.labels[1], _INCOME.labels[0])
    lists = pl.Series(np.stack([1 - scores, scores], axis=1)).arr.to_list()
    return pl.DataFrame({"prediction.probabilities": lists, "outcome": came}), None


def _rare_rows(random: np.random.Generator, count: int) -> tuple[pl.DataFrame, None]:
    return _class_rows(random, count, rate=4.0)


def _skewed_rows(random: np.random.Generator, count: int) -> tuple[pl.DataFrame, None]:
    answers = random.normal(size=count)
    return pl.DataFrame({"prediction.value": answers, "outcome": answers + random.lognormal(0, 0.75, count)}), None


def _normal_rows(random: np.random.Generator, count: int) -> tuple[pl.DataFrame, None]:
    answers = random.normal(size=count)
    return pl.DataFrame({"prediction.value": answers, "outcome": answers + random.normal(size=count)}), None


def _entity_rows(random: np.random.Generator, count: int) -> tuple[pl.DataFrame, np.ndarray]:
    entity = np.arange(count) // 10
    errors = random.normal(size=count // 10 + 1)[entity] + random.normal(size=count)
    answers = random.normal(size=count)
    return pl.DataFrame({"prediction.value": answers, "outcome": answers + errors}), entity


_CASES: dict[str, tuple[_Draw, str, AnswerForm]] = {
    "accuracy": (_class_rows, "accuracy", _INCOME),
    "accuracy, 97 % right": (_rare_rows, "accuracy", _INCOME),
    "log loss": (_class_rows, "log_loss", _INCOME),
    "area under the curve": (_class_rows, "auroc", _INCOME),
    "macro F1": (_class_rows, "macro_f1", _INCOME),
    "absolute error, skewed": (_skewed_rows, "mae", _VALUE),
    "root of the squared error": (_normal_rows, "rmse", _VALUE),
    _BEYOND: (_skewed_rows, "rmse", _VALUE),
    "absolute error, 10 rows of each entity": (_entity_rows, "mae", _VALUE),
}

SECTIONS: dict[str, Callable[[], str]] = {
    "quality_estimates": quality_estimates,
    "quality_intervals": quality_intervals,
    "quality_late_outcomes": late_outcomes,
}
