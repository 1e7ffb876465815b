"""Ensembles of forecasters: how members are chosen, measured on pools of series."""

from collections.abc import Callable

from benchmarks.ensembles import etth1, rule_table

SECTIONS: dict[str, Callable[[], str]] = {**etth1.SECTIONS, **rule_table.SECTIONS}
