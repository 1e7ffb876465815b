"""Monitoring: what drift reports and detectors of changes find, how often they are wrong, and what they cost."""

from collections.abc import Callable

from benchmarks.monitoring import change_detection, drift, quality, sea, together

SECTIONS: dict[str, Callable[[], str]] = {
    **drift.SECTIONS,
    **quality.SECTIONS,
    **change_detection.SECTIONS,
    **sea.SECTIONS,
    **together.SECTIONS,
}
