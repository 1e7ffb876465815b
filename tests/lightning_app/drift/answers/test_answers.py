"""Answers and outcomes of journal tables: every form becomes arrays, and outcomes that do not fit are named."""

import msgspec
import numpy as np
import polars as pl
import pytest

from lightning_app.drift.answers.answer_form import AnswerForm, answer_form
from lightning_app.drift.answers.held_out import HeldOutFacts, held_out_facts
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import read_points
from lightning_app.packaging import TensorSpec

NUMBER = AnswerForm(kind="number", name="price")
CLASSES = AnswerForm(kind="classes", name="probabilities", labels=("stays", "leaves"))


@pytest.mark.parametrize(
    ("output", "labels", "expected"),
    [
        (TensorSpec("price", "float32", ("batch",)), None, NUMBER),
        (TensorSpec("probabilities", "float32", ("batch", 2)), ("stays", "leaves"), CLASSES),
        (
            TensorSpec("probability", "float32", ("batch",), unit="probability"),
            None,
            AnswerForm(kind="classes", name="probability", labels=("false", "true"), binary=True),
        ),
        (
            TensorSpec("forecast", "float32", ("batch", 24, 2), levels=(0.1, 0.9)),
            None,
            AnswerForm(kind="quantiles", name="forecast", levels=(0.1, 0.9)),
        ),
        (TensorSpec("log_probabilities", "float32", ("batch", "seq_len", 65)), None, None),
        (TensorSpec("solution", "int64", ("batch", 81)), None, None),
    ],
)
def test_form_of_a_signature(output, labels, expected):
    assert answer_form((output,), labels) == expected


@pytest.mark.parametrize(
    ("outcome", "known", "misfits"),
    [
        ([1.0, None, 3.0], [True, False, True], {}),
        ([1, 2, 3], [True, True, True], {}),
        (["1.5", "dear", None], [True, False, False], {"text for a number": 1}),
        ([True, False, None], [False, False, False], {"true or false for a number": 2}),
        ([[1.0], [2.0, 3.0], None], [True, False, False], {"a list of 2 for an answer of 1": 1}),
        ([None, None, None], [False, False, False], {}),
    ],
)
def test_outcomes_of_numbers_that_do_not_fit_are_counted(outcome, known, misfits):
    table = pl.DataFrame({"prediction.price": [1.0, 2.0, 3.0], "outcome": outcome})
    outcomes = read_outcomes(table, read_points(table, NUMBER), NUMBER)
    assert outcomes.known.tolist() == known
    assert outcomes.misfits == misfits


@pytest.mark.parametrize(
    ("labels", "outcome", "classes", "misfits"),
    [
        (("stays", "leaves"), ["leaves", "stays"], [1, 0], {}),
        (("stays", "leaves"), ["leaves", "left"], [1, -1], {"unknown label 'left'": 1}),
        (("stays", "leaves"), [1, 0], [-1, -1], {"unknown label '1'": 1, "unknown label '0'": 1}),
        (("0", "1"), [1.0, 0.0], [1, 0], {}),
        (("0", "1"), [True, False], [1, 0], {}),
        (("False", "True"), [True, None], [1, -1], {}),
    ],
)
def test_outcomes_of_classes_are_labels(labels, outcome, classes, misfits):
    form = AnswerForm(kind="classes", name="probabilities", labels=labels)
    table = pl.DataFrame({"prediction.probabilities": [[0.3, 0.7], [0.6, 0.4]], "outcome": outcome})
    outcomes = read_outcomes(table, read_points(table, form), form)
    assert outcomes.classes.tolist() == classes
    assert outcomes.misfits == misfits


def test_steps_of_a_forecast_are_points_with_outcomes_of_their_own():
    table = pl.DataFrame(
        {
            "prediction.forecast": [[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]],
            "outcome": [[[1.5], [None]], None, [[7.0]]],
        },
        schema_overrides={"outcome": pl.List(pl.List(pl.Float64))},
    )
    form = AnswerForm(kind="number", name="forecast")
    points = read_points(table, form)
    outcomes = read_outcomes(table, points, form)
    assert points.rows.tolist() == [0, 0, 1, 1, 2, 2]
    assert outcomes.known.tolist() == [True, False, False, False, False, False]
    assert outcomes.misfits == {"one value for an answer of 2": 1}


@pytest.mark.parametrize(
    "columns",
    [
        {"prediction.forecast": [[[1.0, 2.0, 4.0], [2.0, 3.0, 5.0]]]},
        {"prediction.q0.1": [[1.0, 2.0]], "prediction.q0.5": [[2.0, 3.0]], "prediction.q0.9": [[4.0, 5.0]]},
    ],
)
def test_quantiles_are_read_as_lists_and_as_columns(columns):
    form = AnswerForm(kind="quantiles", name="forecast", levels=(0.1, 0.5, 0.9))
    points = read_points(pl.DataFrame(columns), form)
    assert points.quantiles.tolist() == [[1.0, 2.0, 4.0], [2.0, 3.0, 5.0]]
    assert points.numbers.tolist() == [2.0, 3.0]


def test_an_answer_that_is_missing_is_not_readable():
    table = pl.DataFrame({"prediction.probabilities": [[0.3, 0.7], None, [0.5]], "outcome": ["stays"] * 3})
    points = read_points(table, CLASSES)
    assert points.readable.tolist() == [True, False, False]


def test_rows_without_the_column_of_the_answer_are_refused():
    with pytest.raises(ValueError, match=r"prediction\.price: the rows have no such column"):
        read_points(pl.DataFrame({"age": [1]}), NUMBER)


def test_held_out_facts_of_classes_are_counts_and_shares():
    random = np.random.default_rng(0)
    leaves = random.random(4000)
    came = random.random(4000) < leaves**2  # overconfident
    table = pl.DataFrame(
        {
            "prediction.probabilities": np.stack([1 - leaves, leaves], axis=1).tolist(),
            "outcome": np.where(came, "leaves", "stays"),
        }
    )
    facts = held_out_facts(table, CLASSES)
    curve = facts.calibration[1]
    assert facts.outcome_counts == (4000 - came.sum(), came.sum())
    assert np.abs(np.array(curve.share) - np.array(curve.probability) ** 2).max() < 0.15
    assert msgspec.json.decode(msgspec.json.encode(facts), type=HeldOutFacts) == facts


def test_held_out_facts_of_numbers_know_where_errors_are_large():
    random = np.random.default_rng(0)
    answer = random.random(4000)
    table = pl.DataFrame({"prediction.price": answer, "outcome": answer + answer * random.standard_normal(4000)})
    curve = held_out_facts(table, NUMBER).errors
    expected = np.sqrt(2 / np.pi) * np.arange(0.025, 1, 0.05)
    assert np.abs(np.array(curve.means["absolute"]) - expected).max() < 0.1
    assert held_out_facts(table.with_columns(outcome=pl.lit(None, pl.Float64)), NUMBER) is None
