"""Monitoring: what drift reports and detectors of changes find, how often they are wrong, and what they cost."""

from collections.abc import Callable

from benchmarks.monitoring import quality

SECTIONS: dict[str, Callable[[], str]] = {**quality.SECTIONS}
