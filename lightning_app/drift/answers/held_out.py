"""HeldOutFacts: calibration and conditional errors of answers on held-out rows, part of a package's drift reference."""

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import Points, chosen_points, read_points

_MOST_BINS = 20
_CALIBRATION_BINS = 40
_FEWEST_OF_BIN = 25
_MOST_BLOCKS = 32
_OUTCOME_BINS = 10


class CalibrationCurve(Struct, frozen=True, kw_only=True):
    """How often a class came true, by its probability.

    Attributes:
        edges: Edges between the bins of the probability.
        counts: Held-out points of each bin.
        probability: Mean probability.
        share: Share of the points of this class.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    probability: tuple[float, ...]
    share: tuple[float, ...]


class ErrorCurve(Struct, frozen=True, kw_only=True):
    """Errors by what the answer says of them: the spread of its quantiles, or the number itself.

    Attributes:
        by: What the bins are of: `spread`, `answer`, or `model`, the error that a model of the errors expects.
        edges: Edges between the bins.
        counts: Held-out points of each bin.
        means: By kind of error, its mean in each bin: `absolute`, `squared`, `signed`, of quantiles `pinball` and
            `covered`.
        variances: By kind of error, its variance in each bin.
    """

    by: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    means: dict[str, tuple[float, ...]]
    variances: dict[str, tuple[float, ...]]


class HeldOutFacts(Struct, frozen=True, kw_only=True):
    """What held-out rows say of answers and outcomes.

    Attributes:
        rows: Held-out rows with an outcome.
        points: Their points.
        design_effect: By how much the mean error varies more than that of independent points: neighbouring rows and
            the steps of a forecast err alike.
        calibration: Of each class, in the order of the labels; empty without probabilities.
        errors: Of numbers; None of classes.
        outcome_edges: Edges between bins of true numbers; empty of classes.
        outcome_counts: True values by bin, or by class.
    """

    rows: int
    points: int
    design_effect: float
    calibration: tuple[CalibrationCurve, ...] = ()
    errors: ErrorCurve | None = None
    outcome_edges: tuple[float, ...] = ()
    outcome_counts: tuple[int, ...] = ()


def held_out_facts(table: pl.DataFrame, form: AnswerForm) -> HeldOutFacts | None:
    """Facts of held-out rows, in the order of their time if they have one.

    Args:
        table: Rows with the columns `prediction.NAME` and `outcome`, as the journal's export names them.
        form: What is answered.

    Returns:
        None if no row has an outcome that fits.

    Raises:
        ValueError: The table has no column of the answer.
    """
    points = read_points(table, form)
    outcomes = read_outcomes(table, points, form)
    known = outcomes.known
    if not known.any():
        return None
    points = chosen_points(points, known)
    num_rows, num_points = int(np.count_nonzero(np.bincount(points.rows))), len(points.rows)
    if outcomes.classes is not None:
        assert points.classes is not None
        classes = outcomes.classes[known]
        curves: tuple[CalibrationCurve, ...] = ()
        if points.probabilities is not None:
            curves = calibration_curves(points.probabilities, classes)
        return HeldOutFacts(
            rows=num_rows, points=num_points, calibration=curves,
            design_effect=design_effect((points.classes == classes).astype(float)),
            outcome_counts=tuple(np.bincount(classes, minlength=len(form.labels)).tolist()),
        )  # fmt: skip
    assert outcomes.numbers is not None
    numbers = outcomes.numbers[known]
    errors = point_errors(points, numbers, form)
    edges = bin_edges(numbers, np.ones_like(numbers), most=_OUTCOME_BINS)
    return HeldOutFacts(
        rows=num_rows, points=num_points, design_effect=design_effect(errors["absolute"]),
        errors=error_curve(conditions(points, form), errors, by="spread" if form.levels else "answer"),
        outcome_edges=tuple(edges.tolist()),
        outcome_counts=tuple(np.bincount(np.searchsorted(edges, numbers), minlength=len(edges) + 1).tolist()),
    )  # fmt: skip


def conditions(points: Points, form: AnswerForm) -> Array:
    """What errors are looked up by, (P,): as the points say, or the spread of the outermost quantiles, or the number.

    Args:
        points: Answers of numbers.
        form: What is answered.
    """
    if points.conditions is not None:
        return points.conditions
    if points.quantiles is not None and len(form.levels) > 1:
        order = np.argsort(form.levels)
        return np.asarray(points.quantiles[:, order[-1]] - points.quantiles[:, order[0]])
    assert points.numbers is not None
    return points.numbers


def point_errors(points: Points, numbers: Array, form: AnswerForm) -> dict[str, Array]:
    """Errors of points by kind, as `ErrorCurve` names them.

    Args:
        points: Answers.
        numbers: True numbers, (P,).
        form: What is answered.
    """
    assert points.numbers is not None
    signed = points.numbers - numbers
    errors = {"absolute": np.abs(signed), "squared": signed**2, "signed": signed}
    if points.quantiles is not None:
        levels = np.asarray(form.levels)
        under = numbers[:, None] - points.quantiles
        errors["pinball"] = np.maximum(levels * under, (levels - 1) * under).mean(axis=1)
        if len(levels) > 1:
            order = np.argsort(levels)
            low, high = points.quantiles[:, order[0]], points.quantiles[:, order[-1]]
            errors["covered"] = ((low <= numbers) & (numbers <= high)).astype(float)
    return errors


def bin_edges(values: Array, weights: Array, *, most: int) -> Array:
    """Edges of bins of about equal weight, with enough values each.

    Args:
        values: The values, (P,).
        weights: Of each value.
        most: Bins at most.
    """
    wanted = max(1, min(most, len(values) // _FEWEST_OF_BIN))
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, total[-1] * np.arange(1, wanted) / wanted)
    edges = np.unique(values[order][places])
    return edges[edges < values[order[-1]]]


def design_effect(errors: Array) -> float:
    """Variance of the mean of blocks of neighbours, over that of as many independent values; at least 1.

    Args:
        errors: In the order of the rows, (P,).
    """
    num_blocks = min(_MOST_BLOCKS, len(errors) // 8)
    variance = float(errors.var())
    if num_blocks < 8 or variance <= 0:
        return 1.0
    size = len(errors) // num_blocks
    means = errors[: size * num_blocks].reshape(num_blocks, size).mean(axis=1)
    return max(1.0, float(means.var(ddof=1)) * size / variance)


def calibration_curves(probabilities: Array, classes: Integers) -> tuple[CalibrationCurve, ...]:
    """How often each class came true, by its probability.

    Args:
        probabilities: (P, K).
        classes: Index of the true class, (P,).
    """
    return tuple(_curve(probabilities[:, place], classes == place) for place in range(probabilities.shape[1]))


def _curve(probability: Array, came_true: np.ndarray) -> CalibrationCurve:
    # As many bins where there are many points as where a point says much.
    says = probability * (1 - probability)
    weights = says / max(float(says.sum()), 1e-12) + 1 / len(says)
    edges = bin_edges(probability, weights, most=_CALIBRATION_BINS)
    place = np.searchsorted(edges, probability)
    counts = np.bincount(place, minlength=len(edges) + 1)
    safe = np.maximum(counts, 1)
    return CalibrationCurve(
        edges=tuple(edges.tolist()), counts=tuple(counts.tolist()),
        probability=tuple((np.bincount(place, probability, len(counts)) / safe).tolist()),
        share=tuple((np.bincount(place, came_true, len(counts)) / safe).tolist()),
    )  # fmt: skip


def error_curve(conditions_: Array, errors: dict[str, Array], *, by: str) -> ErrorCurve:
    """Errors by bins of a condition.

    Args:
        conditions_: Condition of each point, (P,).
        errors: Errors by kind, (P,) each.
        by: What the condition is.
    """
    edges = bin_edges(conditions_, np.ones_like(conditions_), most=_MOST_BINS)
    place: Integers = np.searchsorted(edges, conditions_)
    counts = np.bincount(place, minlength=len(edges) + 1)
    safe = np.maximum(counts, 1)
    means = {name: np.bincount(place, values, len(counts)) / safe for name, values in errors.items()}
    spread = {
        name: np.bincount(place, (values - means[name][place]) ** 2, len(counts)) / np.maximum(counts - 1, 1)
        for name, values in errors.items()
    }
    return ErrorCurve(
        by=by, edges=tuple(edges.tolist()), counts=tuple(counts.tolist()),
        means={name: tuple(values.tolist()) for name, values in means.items()},
        variances={name: tuple(values.tolist()) for name, values in spread.items()},
    )  # fmt: skip
