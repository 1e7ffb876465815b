"""Continuous training: what it promotes, and what it is worth."""

from collections.abc import Callable

from benchmarks.retraining import kills, without_drift

SECTIONS: dict[str, Callable[[], str]] = without_drift.SECTIONS | kills.SECTIONS
