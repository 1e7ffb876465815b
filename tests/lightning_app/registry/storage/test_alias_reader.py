"""Which version an alias points to, asked without MLflow."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.registry import Registry, RegistryUnreachableError
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from tests.conftest import CONFIGS

PROGRAM = """
import sys
import lightning_app.registry.storage.alias_reader
heavy = {"numpy", "torch", "mlflow", "polars", "onnxruntime", "sqlalchemy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_moved_alias_is_read_from_a_sqlite_registry(register: Callable[..., int], registry: Registry) -> None:
    reader = AliasReader(RegistryAddress.find())
    register(noise=0.3)
    register(noise=0.1)
    champion, shadow = ("phase", "champion"), ("phase", "shadow")
    assert reader.read([champion, ("other", "champion")]) == {champion: None, ("other", "champion"): None}
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    assert reader.read([champion, shadow]) == {champion: 1, shadow: None}
    assert main(["promote", "phase@2", "--to", "champion"]) == 0
    assert reader.read([champion]) == {champion: 2}
    assert main(["rollback", "phase"]) == 0
    assert reader.read([champion]) == {champion: 1}
    assert [reader.has_version("phase", number) for number in (1, 2, 3)] == [True, True, False]


def test_what_has_not_changed_is_resolved_without_mlflow(register: Callable[..., int], registry: Registry) -> None:
    register(noise=0.3)
    register(noise=0.1)
    assert registry.resolve_unchanged("phase@champion") is None
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    assert registry.resolve_unchanged("phase@champion") == registry.resolve("phase@champion")
    assert registry.resolve_unchanged("phase@2") is None  # not on this machine
    assert registry.resolve("phase@2") == registry.resolve_unchanged("phase@2")
    elsewhere = Registry(cache=Path("other"))
    elsewhere.promote("phase@2", to="champion")
    assert registry.resolve_unchanged("phase@champion") is None
    assert registry.resolve("phase@champion") == registry.resolve_unchanged("phase@champion")
    Path("mlflow.db").rename("aside.db")
    with pytest.raises(RegistryUnreachableError):
        registry.resolve_unchanged("phase@champion")


def test_a_registry_that_is_gone_or_damaged_is_unreachable(registry: Registry, tmp_path: Path) -> None:
    reader = AliasReader(RegistryAddress.find())
    Path("mlflow.db").rename("aside.db")
    with pytest.raises(RegistryUnreachableError, match="there is no registry at"):
        reader.read([("phase", "champion")])
    assert not Path("mlflow.db").exists()
    Path("mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(RegistryUnreachableError, match="does not answer: file is not a database"):
        reader.read([("phase", "champion")])
    Path("mlflow.db").unlink()
    with sqlite3.connect("mlflow.db") as connection:
        connection.execute("CREATE TABLE other (id)")
    with pytest.raises(RegistryUnreachableError, match="no such table"):
        reader.read([("phase", "champion")])
    server = AliasReader(RegistryAddress.find("http://127.0.0.1:9"), timeout=2)
    with pytest.raises(RegistryUnreachableError, match="Connection refused"):
        server.read([("phase", "champion")])


def test_watching_aliases_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=CONFIGS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
