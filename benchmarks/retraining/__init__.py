"""Continuous training: what it promotes, and what it is worth."""

from collections.abc import Callable

from benchmarks.retraining import electricity, kills, without_drift

SECTIONS: dict[str, Callable[[], str]] = without_drift.SECTIONS | electricity.SECTIONS | kills.SECTIONS
