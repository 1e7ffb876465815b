import json
from collections.abc import Callable

import pytest

from lightning_app.__main__ import main
from tests.families import TrainedFamily


def test_packages_that_read_a_feature_are_named(
    family: Callable[[str], TrainedFamily], capsys: pytest.CaptureFixture[str]
) -> None:
    trained = family("tabular")
    package = trained.package
    capsys.readouterr()
    words = ["features", "show", str(package / "features.yaml"), "--packages", str(package.parent), "--json"]
    assert main(words) == 0
    entries = {entry["name"]: entry["used_by"] for entry in json.loads(capsys.readouterr().out)}
    assert entries
    assert all(used == [str(package)] for used in entries.values())
