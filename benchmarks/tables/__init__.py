"""Tables: what networks reach on published splits, and what the command costs beside a plain loop."""

from collections.abc import Callable

from benchmarks.tables import networks, trees

SECTIONS: dict[str, Callable[[], str]] = {**networks.SECTIONS, **trees.SECTIONS}
