from pathlib import Path

import pytest

from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import small_package


@pytest.fixture(scope="package")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package, called `small_mlp`."""
    return small_package(tmp_path_factory.mktemp("packages") / "package")


@pytest.fixture(scope="package")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that carries a state from text to text."""
    return stream_package(tmp_path_factory.mktemp("packages") / "letters")
