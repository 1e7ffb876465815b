"""Experiments in production: what they decide from simulated traffic."""

from collections.abc import Callable

from benchmarks.experiments import bandit, canary

SECTIONS: dict[str, Callable[[], str]] = canary.SECTIONS | bandit.SECTIONS
