"""Each family, trained for a few steps, gives the weights, metrics and answers it gave before.

A change that is meant to change them records new figures: `python -m pytest tests/test_results.py --record-results`.
"""

import json
from collections.abc import Callable

import pytest

from tests.families import FAMILIES, TrainedFamily
from tests.results import STORED, figures_of, machine


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_the_results_that_it_gave_before(
    name: str, family: Callable[[str], TrainedFamily], pytestconfig: pytest.Config
) -> None:
    figures = figures_of(family(name))
    if pytestconfig.getoption("record_results"):
        record(name, figures)
    stored = json.loads(STORED.read_text())[name]
    assert figures["values"] == pytest.approx(stored["values"], rel=1e-4, abs=1e-6, nan_ok=True)
    if machine() in stored["digests"]:
        assert figures["digests"] == stored["digests"][machine()]


def record(name: str, figures: dict[str, dict[str, object]]) -> None:
    """Stores figures, and drops the digests of other machines if the results themselves are other than they were."""
    families = json.loads(STORED.read_text()) if STORED.exists() else {}
    known = families.get(name, {"values": None, "digests": {}})
    same = known["values"] == pytest.approx(figures["values"], rel=1e-4, abs=1e-6)
    digests = {**(known["digests"] if same else {}), machine(): figures["digests"]}
    families[name] = {"values": figures["values"], "digests": digests}
    STORED.write_text(json.dumps(families, indent=1, sort_keys=True) + "\n")
