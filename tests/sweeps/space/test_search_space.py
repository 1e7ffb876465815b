from typing import Any

import pytest

from lightning_app.errors import UsageError
from sweeps.space.search_space import SearchSpace

KIND = {"type": "categorical", "choices": ["deep", "flat"]}
DEPTH = {"type": "int", "low": 1, "high": 9, "when": {"kind": "deep"}}
NAN = float("nan")


def number(**options: Any) -> dict[str, Any]:
    return {"type": "float", "low": 0.0, "high": 1.0, **options}


@pytest.mark.parametrize(
    ("section", "size"),
    [
        ({"n": {"type": "int", "low": 1, "high": 9, "step": 3}}, 3),
        ({"n": {"type": "int", "low": 1, "high": 8, "log": True}}, 8),
        ({"x": number(low=0.1, high=0.3, step=0.1)}, 3),
        ({"x": number(low=0.1, high=0.35, step=0.1)}, 3),
        ({"x": number(low=0.5, high=0.5)}, 1),
        ({"x": number()}, None),
        ({"kind": KIND, "depth": DEPTH}, 10),
        ({"kind": KIND, "depth": DEPTH, "rate": number(step=0.5, when={"depth": {"low": 8}})}, 1 + 7 + 2 * 3),
        ({key: {"type": "int", "low": 0, "high": 99} for key in "abc"}, None),
    ],
)
def test_points_are_counted_as_conditions_leave_them(section: dict[str, Any], size: int | None) -> None:
    space = SearchSpace.read(section)
    assert space.size() == size
    if size is not None:
        points = list(space.points())
        assert len({str(point) for point in points}) == len(points) == size


def test_what_was_drawn_with_other_steps_stays_as_it_was() -> None:
    (parameter,) = SearchSpace.read({"x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25}}).parameters
    assert parameter.value(0.1) == 0.1
    assert parameter.value(0.5 + 1e-13) == 0.5


def test_steps_are_met_without_a_rest() -> None:
    (parameter,) = SearchSpace.read({"x": number(low=0.1, high=0.35, step=0.1)}).parameters
    assert parameter.values() == [0.1, 0.2, 0.3]
    assert parameter.value(0.30000000000000004) == 0.3


@pytest.mark.parametrize(
    ("wanted", "depths"),
    [
        (3, [3]),
        ([3, 5], [3, 5]),
        ({"low": 7}, [7, 8, 9]),
        ({"high": 2}, [1, 2]),
        ({"low": 2.5, "high": 4}, [3, 4]),
    ],
)
def test_a_condition_on_a_number_takes_a_value_a_list_or_a_range(wanted: Any, depths: list[int]) -> None:
    space = SearchSpace.read({"rate": number(step=1.0, when={"depth": wanted}), "kind": KIND, "depth": DEPTH})
    assert sorted({point["depth"] for point in space.points() if "rate" in point}) == depths
    rate = space.parameters[-1]
    witness = space.witness(rate)
    assert witness == {"kind": "deep", "depth": depths[0]}
    assert rate.is_active(witness)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "nothing varies"),
        (["lr"], "space: ['lr'] given"),
        ({"lr": {"type": "flot"}}, "space.lr.type: 'flot' given, did you mean 'float'?; allowed: float, int"),
        ({"lr": {"type": []}}, "space.lr.type: [] given"),
        ({"lr": number(hihg=1)}, "space.lr.hihg: a float has no such option, did you mean 'high'?; allowed: type"),
        ({"lr": number(high=NAN)}, "space.lr.high: nan given, a finite number is needed"),
        ({"lr": number(high=float("inf"))}, "space.lr.high: inf given, a finite number is needed"),
        ({"lr": number(step=2.0)}, "space.lr.step: 2.0 given, which is more than from 0.0 to 1.0"),
        ({"lr": number(step=0)}, "space.lr.step: 0 given, more than 0 is needed"),
        ({"lr": number(low=0.1, step=0.1, log=True)}, "space.lr.step: log and step exclude each other"),
        ({"lr": number(log="yes")}, "space.lr.log: 'yes' given, allowed: true, false"),
        ({"n": {"type": "int", "low": 1, "high": 9, "step": 0.5}}, "space.n.step: 0.5 given, int is needed"),
        (
            {"n": {"type": "int", "low": 0, "high": 9, "log": True}},
            "space.n.low: 0 given, a logarithm needs at least 1",
        ),
        ({"n": {"type": "int", "high": 9}}, "space.n.low: None given, int is needed"),
        ({"c": {"type": "categorical", "choices": [1, 2, 1]}}, "space.c.choices: 1 given twice; take one out"),
        ({"c": {"type": "categorical", "choices": [1, True]}}, "True given and 1, which are one value"),
        ({"c": {"type": "categorical", "choices": [NAN]}}, "space.c.choices: nan given, a finite number"),
        ({"c": {"type": "class", "choices": [3]}}, "space.c.choices: 3 given, names of classes"),
        ({"kind": KIND, "n": {**DEPTH, "when": "deep"}}, "space.n.when: 'deep' given"),
        (
            {"kind": KIND, "n": {**DEPTH, "when": {"knd": "deep"}}},
            "space.n.when.knd: nothing varies there, did you mean 'kind'?",
        ),
        ({"kind": KIND, "n": {**DEPTH, "when": {"kind": "deap"}}}, "none of its choices, did you mean 'deep'?"),
        ({"kind": KIND, "n": {**DEPTH, "when": {"kind": {"low": 1}}}}, "a range given, but kind has choices"),
        (
            {"kind": KIND, "depth": DEPTH, "x": number(when={"depth": {"low": 10}})},
            "at least 10 given, but depth has no value",
        ),
        (
            {"kind": KIND, "depth": DEPTH, "x": number(when={"depth": {"lo": 1}})},
            "when.depth.lo: no such bound, did you mean 'low'?",
        ),
        (
            {"kind": KIND, "depth": DEPTH, "x": number(when={"depth": {"low": "a"}})},
            "when.depth.low: 'a' given, a number",
        ),
        ({"kind": KIND, "depth": DEPTH, "x": number(when={"depth": {}})}, "when.depth: an empty range"),
        ({"kind": KIND, "depth": DEPTH, "x": number(when={"depth": 10})}, "10 is never drawn"),
        ({"x": number(), "y": number(when={"x": 0.5})}, "0.5 is hardly ever drawn, as x has no step; give a range"),
        (
            {"kind": KIND, "depth": DEPTH, "x": number(when={"depth": 2, "kind": "flat"})},
            "space.x.when: never holds, conditions on kind exclude each other",
        ),
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
