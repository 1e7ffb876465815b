"""Each family, trained for a few steps, gives the weights, metrics and answers it gave before.

New figures are recorded by `python -m pytest tests/test_results.py -m "" --record-results`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.families import FAMILIES, TrainedFamily
from tests.results import STORED, figures_of_package, figures_of_run, machine

SHORT_EXPORTS = ("nodes", "links")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fit_gives_the_weights_and_metrics_that_it_gave_before(
    name: str, family: Callable[[str], TrainedFamily], pytestconfig: pytest.Config
) -> None:
    check(name, "run", figures_of_run(family(name)), pytestconfig)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT_EXPORTS else pytest.mark.slow) for name in FAMILIES]
)
def test_a_package_gives_the_answers_that_it_gave_before(
    name: str, family: Callable[[str], TrainedFamily], pytestconfig: pytest.Config
) -> None:
    check(name, "package", figures_of_package(family(name)), pytestconfig)


def check(name: str, part: str, figures: dict[str, Any], config: pytest.Config) -> None:
    """Compares bits where those of this machine are stored, and numbers everywhere."""
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    known = stored.setdefault(name, {}).setdefault(part, {"values": {}, "digests": {}})
    same = figures["values"] == pytest.approx(known["values"], rel=1e-4, abs=1e-6, nan_ok=True)
    if config.getoption("record_results"):
        digests = known["digests"] if same else {}  # those of other machines are of other results
        known.update(values=figures["values"], digests={**digests, machine(): figures["digest"]})
        STORED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        return
    assert same, (figures["values"], known["values"])
    assert known["digests"].get(machine(), figures["digest"]) == figures["digest"]
