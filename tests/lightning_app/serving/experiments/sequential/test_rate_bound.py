import math

import numpy as np
import pytest

from lightning_app.serving.experiments.sequential.rate_bound import rate_above_log_e_value, upper_rate


def test_the_upper_rate_and_the_test_above_a_rate_hold_at_all_looks() -> None:
    rng = np.random.default_rng(0)
    missed = ended = 0
    for _ in range(100):
        events = np.cumsum(rng.binomial(200, 0.02, size=40))
        trials = 200 * np.arange(1, 41)
        counts = list(zip(events.tolist(), trials.tolist(), strict=True))
        missed += any(upper_rate(seen, of, alpha=0.05) < 0.02 for seen, of in counts[::4])
        ended += any(rate_above_log_e_value(seen, of, rate=0.02) >= math.log(20) for seen, of in counts)
    assert missed <= 5
    assert ended <= 5


def test_bounds_close_in_on_the_rate() -> None:
    assert upper_rate(0, 0, alpha=0.05) == 1.0
    assert upper_rate(0, 10_000, alpha=0.05) < 0.001
    assert 0.1 < upper_rate(1_000, 10_000, alpha=0.05) < 0.12
    assert upper_rate(10, 10, alpha=0.05) == pytest.approx(1.0)
    assert rate_above_log_e_value(60, 1_000, rate=0.02) > math.log(1000)
