"""Detectors of changes in errors: as river's, by the row; with the stated number of rows between false alarms."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.drift.streaming import Adwin, Detector, GlrDetector, PageHinkley
from tests.conftest import DATA, needs

SEGMENTS = st.lists(
    st.tuples(st.integers(1, 300), st.floats(-5, 5), st.sampled_from([0.0, 0.1, 1.0])), min_size=1, max_size=5
)


def stream(segments: list[tuple[int, float, float]], seed: int) -> list[float]:
    """Numbers whose mean and spread change from segment to segment; without spread, 0 and 1."""
    random = np.random.default_rng(seed)
    parts = [
        random.normal(mean, spread, rows) if spread else (random.random(rows) < abs(mean) / 5).astype(float)
        for rows, mean, spread in segments
    ]
    return [float(value) for value in np.concatenate(parts)]


@settings(max_examples=60, deadline=None)
@given(
    segments=SEGMENTS,
    seed=st.integers(0, 10**6),
    delta=st.sampled_from([0.002, 0.05, 0.3]),
    clock=st.sampled_from([1, 7, 32]),
    max_buckets=st.sampled_from([2, 5]),
)
def test_adwin_keeps_the_window_that_rivers_keeps(
    segments: list[tuple[int, float, float]], seed: int, delta: float, clock: int, max_buckets: int
) -> None:
    drift = pytest.importorskip("river.drift", reason="needs river, the oracle")
    theirs = drift.ADWIN(delta=delta, clock=clock, max_buckets=max_buckets)
    ours = Adwin(delta=delta, clock=clock, max_buckets=max_buckets)
    for value in stream(segments, seed):
        theirs.update(value)
        assert ours.update(value) == theirs.drift_detected
        assert ours.width == theirs.width
    assert ours.mean == pytest.approx(theirs.estimation, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    segments=SEGMENTS,
    seed=st.integers(0, 10**6),
    threshold=st.sampled_from([1.0, 5.0, 50.0]),
    direction=st.sampled_from(["up", "down", "both"]),
)
def test_page_hinkley_detects_what_rivers_detects(
    segments: list[tuple[int, float, float]], seed: int, threshold: float, direction: str
) -> None:
    drift = pytest.importorskip("river.drift", reason="needs river, the oracle")
    theirs = drift.PageHinkley(threshold=threshold, mode=direction)
    ours = PageHinkley(threshold=threshold, direction=direction)
    for value in stream(segments, seed):
        theirs.update(value)
        assert ours.update(value) == theirs.drift_detected


@pytest.fixture(scope="module")
def sea_errors() -> list[float]:
    """Errors of the rule of the first concept of SEA, over all four."""
    x = np.loadtxt(DATA / "sea/SEA_training_data.csv", delimiter=",")
    y = np.loadtxt(DATA / "sea/SEA_training_class.csv", delimiter=",")
    return [float(error) for error in (x[:, 0] + x[:, 1] <= 8) != y]


@needs("sea/SEA_training_data.csv")
def test_adwin_and_page_hinkley_detect_on_sea_what_rivers_detect(sea_errors: list[float]) -> None:
    drift = pytest.importorskip("river.drift", reason="needs river, the oracle")
    for ours, theirs in ((Adwin(), drift.ADWIN()), (PageHinkley(), drift.PageHinkley())):
        found, expected = [], []
        for row, error in enumerate(sea_errors):
            theirs.update(error)
            if theirs.drift_detected:
                expected.append(row)
            if ours.update(error):
                found.append(row)
        assert found == expected != []


@needs("sea/SEA_training_data.csv")
def test_a_rise_of_the_error_is_found_within_1500_rows_of_each_that_there_is_on_sea(sea_errors: list[float]) -> None:
    detector = GlrDetector()
    found = [row for row, error in enumerate(sea_errors) if detector.update(error)]
    assert 12_500 <= found[0] < 14_000  # from b = 8 to 9; the next concept, 7, has as many errors
    assert any(37_500 <= row < 39_000 for row in found)
    assert len(found) <= 4


def test_adwin_keeps_the_newer_part_where_it_does_not_restart() -> None:
    detector = Adwin(restart=False)
    random = np.random.default_rng(0)
    found = [row for row in range(3000) if detector.update(float(random.random() < (0.1 if row < 1500 else 0.4)))]
    assert found
    assert 1500 <= found[0] < 1700
    assert 900 < detector.width <= 1700
    assert detector.mean == pytest.approx(0.4, abs=0.05)


DETECTORS = [Adwin(), Adwin(restart=False), PageHinkley(threshold=5), GlrDetector(), GlrDetector(direction="both")]


@pytest.mark.parametrize("detector", DETECTORS, ids=repr)
def test_a_detector_that_was_written_down_goes_on_where_it_stopped(detector: Detector) -> None:
    random = np.random.default_rng(1)
    errors = np.concatenate([random.random(700) < 0.1, random.random(700) < 0.5]).astype(float).tolist()
    whole = msgspec.json.decode(msgspec.json.encode(detector), type=Detector)
    parts = msgspec.json.decode(msgspec.json.encode(detector), type=Detector)
    expected = [row for row, error in enumerate(errors) if whole.update(error)]
    found = []
    for row, error in enumerate(errors):
        if parts.update(error):
            found.append(row)
        if row % 50 == 0:
            parts = msgspec.json.decode(msgspec.json.encode(parts), type=Detector)
    assert found == expected != []
    assert len(msgspec.json.encode(parts)) < 5000


@pytest.mark.parametrize(
    ("detector", "message"),
    [(Adwin(), "not finite"), (PageHinkley(), "not finite"), (GlrDetector(scale=1.0), "not finite")],
    ids=["adwin", "page_hinkley", "glr"],
)
def test_an_unknown_error_is_refused(detector: Detector, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detector.update(float("nan"))


def test_errors_outside_of_0_to_1_need_a_scale() -> None:
    with pytest.raises(ValueError, match="give absolute errors, and a typical one as scale"):
        GlrDetector().update(2.0)
    with pytest.raises(ValueError, match="at least 0"):
        GlrDetector(scale=1.0).update(-2.0)
    for wrong in ({"run_length": 10}, {"scale": 0.0}, {"direction": "down"}):
        with pytest.raises(ValueError, match="GlrDetector"):
            GlrDetector(**wrong)
    with pytest.raises(ValueError, match="delta"):
        Adwin(delta=2)
    with pytest.raises(ValueError, match="direction"):
        PageHinkley(direction="left")


@pytest.mark.parametrize("kind", ["share", "number", "constant"])
def test_a_detector_says_how_long_ago_the_change_was(kind: str) -> None:
    random = np.random.default_rng(2)
    before, after = random.random(4000), random.random(2000)
    if kind == "share":
        errors = np.concatenate([before < 0.1, after < 0.2]).astype(float)
    elif kind == "number":
        errors = np.concatenate([-np.log(before), -1.5 * np.log(after)])
    else:
        errors = np.concatenate([np.zeros(4000), after < 0.05]).astype(float)
    detector = GlrDetector(scale=1.0 if kind == "number" else None)
    row = next(row for row, error in enumerate(errors.tolist()) if detector.update(error))
    assert 4000 <= row < 4600
    assert abs(row - detector.changed - 4000) < 150


def test_memory_grows_with_the_logarithm_of_the_window() -> None:
    random = np.random.default_rng(3)
    for detector in (Adwin(), GlrDetector(run_length=10**9)):
        for error in (random.random(50_000) < 0.2).astype(float).tolist():
            detector.update(error)
        assert detector.width > 40_000
        assert sum(len(level.totals) for level in detector.levels) <= 8 * len(detector.levels) <= 8 * 16


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
def test_false_alarms_are_as_far_apart_as_stated(rate: float) -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(40):
        detector = GlrDetector(run_length=5_000)
        alarms += sum(detector.update(error) for error in (random.random(50_000) < rate).astype(float).tolist())
    assert 300 < alarms < 440  # 400 are stated; no more than chance above it
