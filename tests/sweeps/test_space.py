from typing import Any

import pytest

from lightning_app.errors import UsageError
from sweeps.space import SearchSpace


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "nothing varies"),
        ({"lr": {"type": "real"}}, "space.lr.type: 'real' given; allowed: float, int, categorical, class"),
        ({"lr": {"type": "float", "low": 1, "high": 0}}, "space.lr: low 1 is above high 0"),
        ({"lr": {"type": "float", "low": 0, "high": 1, "log": True}}, "space.lr.low: 0 given, a logarithm"),
        ({"lr": {"type": "float", "low": "1e-3", "high": 1}}, "write 1.0e-3"),
        (
            {"lr": {"type": "float", "low": 0, "high": 1, "choices": [1]}},
            "space.lr.choices: a float has no such option",
        ),
        ({"n": {"type": "int", "low": 0.5, "high": 2}}, "space.n.low: 0.5 given, int is needed"),
        ({"n": {"type": "categorical", "choices": []}}, "at least one value is needed"),
        ({"n": {"type": "int", "low": 1, "high": 2, "when": {"m": 1}}}, "space.n.when.m: nothing varies there"),
        (
            {
                "n": {"type": "int", "low": 1, "high": 2, "when": {"m": "c"}},
                "m": {"type": "categorical", "choices": ["a", "b"]},
            },
            "'c' is none of its choices",
        ),
        (
            {
                "n": {"type": "categorical", "choices": [1], "when": {"m": 1}},
                "m": {"type": "categorical", "choices": [1], "when": {"n": 1}},
            },
            "conditions go in a circle",
        ),
    ],
)
def test_what_is_wrong_in_a_space_is_said_with_its_key(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        SearchSpace.read(section)
    assert message in str(error.value)
