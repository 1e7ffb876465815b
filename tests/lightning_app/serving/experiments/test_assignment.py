from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_app.serving.experiments.assignment import layout_of, moved, point, shares_of

_WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1.0)), min_size=2, max_size=5).filter(lambda w: sum(w) > 0)


def _shares(weights):
    return {f"arm-{number}": weight / sum(weights) for number, weight in enumerate(weights)}


def _moved_share(before, after):
    """Share of the points whose arm differs."""
    cuts = sorted({interval.start for interval in (*before, *after)} | {1.0})
    total = 0.0
    for start, end in pairwise(cuts):
        total += (end - start) * (_arm(before, start) != _arm(after, start))
    return total


def _arm(layout, at):
    return next(interval.arm for interval in layout if interval.start <= at < interval.end)


@given(st.lists(_WEIGHTS, min_size=1, max_size=4))
def test_a_ramp_moves_only_the_keys_that_have_to_move(steps):
    layout = layout_of(_shares(steps[0]))
    for weights in steps[1:]:
        shares = _shares(weights)
        before, layout = layout, moved(layout, shares)
        held = shares_of(before)
        gained = sum(max(share - held.get(arm, 0.0), 0.0) for arm, share in shares.items())
        assert _moved_share(before, layout) == pytest.approx(gained, abs=1e-12)
        assert shares_of(layout) == pytest.approx({arm: share for arm, share in shares.items() if share > 0}, abs=1e-12)
        assert layout[0].start == 0.0
        assert layout[-1].end == 1.0
        assert all(left.end == right.start for left, right in pairwise(layout))


def test_points_of_keys_are_uniform_sticky_and_independent_between_experiments():
    first = [point("first", str(number)) for number in range(20_000)]
    second = [point("second", str(number)) for number in range(20_000)]
    assert first == [point("first", str(number)) for number in range(20_000)]
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = [low <= value < low + 0.25 for value in first]
        assert sum(inside) == pytest.approx(5000, abs=250)
        both = sum(hit and low <= value < low + 0.25 for hit, value in zip(inside, second, strict=True))
        assert both == pytest.approx(1250, abs=150)


def test_a_salt_of_any_length_and_a_key_of_any_text_have_a_point():
    assert 0 <= point("x" * 500, "\udcff ключ") < 1
    assert point("x" * 500, "a") != point("x" * 501, "a")
