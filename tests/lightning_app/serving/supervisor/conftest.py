from pathlib import Path

import pytest

from tests.packages import small_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package, called `small_mlp`."""
    return small_package(tmp_path_factory.mktemp("packages") / "package")
