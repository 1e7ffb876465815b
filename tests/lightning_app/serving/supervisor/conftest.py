from dataclasses import dataclass
from pathlib import Path

import pytest

from lightning_app.packaging import Package
from lightning_app.registry import Registry
from tests.lightning_app.serving.supervisor.running_server import ROW
from tests.packages import small_package
from tests.registries import place_registry


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package, called `small_mlp`."""
    return small_package(tmp_path_factory.mktemp("packages") / "package")


@dataclass
class Versions:
    """Versions 1 and 2 of the model `phase` in a registry; 1 is champion.

    Attributes:
        digests: Digest by number.
        prices: Answer to `ROW` by number, as the package itself gives it.
    """

    digests: dict[int, str]
    prices: dict[int, float]

    def move(self, number: int) -> None:
        """Makes a version champion, whatever its gates say."""
        assert Registry().promote(f"phase@{number}", to="champion", force="a test").promoted


@pytest.fixture
def versions(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """A registry in the working folder, with a cache of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    packages = {number: small_package(tmp_path / f"package-{number}", seed=number) for number in (1, 2)}
    registered = {Registry().register(path, "phase"): Package.load(path) for path in packages.values()}
    versions = Versions(
        {number: package.digest for number, package in registered.items()},
        {number: price_of(package) for number, package in registered.items()},
    )
    versions.move(1)
    return versions


def price_of(package: Package) -> float:
    return float(package.predict({name: [value] for name, value in ROW.items()})["price"][0])
