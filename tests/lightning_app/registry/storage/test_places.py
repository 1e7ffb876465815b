"""Where packages lie, who may write there, and what else MLflow's pages show."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from lightning_app.__main__ import main
from lightning_app.errors import describe
from lightning_app.packaging import Package
from lightning_app.registry import Registry
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from lightning_app.registry.storage.mlflow_errors import translated
from lightning_app.registry.storage.mlflow_model import own_requirement, write_mlflow_model
from lightning_app.registry.storage.store import MlflowStore
from tests.conftest import CONFIGS
from tests.packages import small_package
from tests.postgres import needs_postgres, postgres

Register = Callable[..., int]


def test_the_champion_is_not_taken_away_by_another_alias(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    register()
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    for alias in ("shadow", "challenger"):
        assert main(["promote", "phase@champion", "--to", alias, "--force", "I say so"]) == 2
        error = capsys.readouterr().err
        assert f"to: {alias} given, but phase@1 is the champion, and there would be none" in error
    assert registry.resolve("phase").version == 1
    assert main(["promote", "phase@2", "--to", "shadow"]) == 0
    capsys.readouterr()
    assert main(["promote", "phase@2", "--to", "challenger"]) == 0
    assert "phase@2 is challenger, shadow no more" in capsys.readouterr().out


def test_files_that_are_gone_are_put_back_by_registering_again(
    register: Register, registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register()
    for gone in ("mlartifacts", "model.onnx", "manifest.json"):
        path = tmp_path / gone if gone == "mlartifacts" else next((tmp_path / "mlartifacts").rglob(gone))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(Exception, match=r"model|package|artifact"):
            registry.resolve("phase@1")
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lightning_app.registry"):
            assert registry.register("package-1", "phase") == 1
        assert "files of phase@1 were missing from the registry, and were uploaded again" in caplog.text
        assert Package.load(registry.resolve("phase@1").path)
        assert len(registry.versions("phase")) == 1


def test_a_registry_that_was_moved_away_from_its_packages_takes_no_more(
    register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    (tmp_path / "moved").mkdir()
    shutil.move("mlflow.db", "moved")
    shutil.move("mlartifacts", "moved")
    for package in ("package-1", str(small_package(tmp_path / "other"))):
        assert main(["register", package, "--name", "phase", "--registry", "sqlite:///moved/mlflow.db"]) == 2
        assert f"its packages are in {tmp_path / 'mlartifacts'}, which does not exist here" in capsys.readouterr().err
    assert not Path("mlartifacts").exists()


def test_a_place_is_used_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = str(small_package(tmp_path / "package"))
    assert main(["register", package, "--artifacts", "shared"]) == 0
    assert list((tmp_path / "shared").rglob("model.onnx"))
    assert main(["register", package, "--artifacts", str(tmp_path / "shared")]) == 0
    assert main(["register", package, "--artifacts", "s3://bucket/models"]) == 2
    assert "s3://bucket/models given, but the packages of this registry are in file://" in capsys.readouterr().err
    assert not Path("mlartifacts").exists()


def test_of_two_hosts_that_register_one_package_at_once_the_lower_number_stays(
    register: Register, registry: Registry, tmp_path: Path
) -> None:
    register()
    package = Package.load("package-1")
    write_mlflow_model(package.path, package.manifest, tmp_path / "model")
    store = MlflowStore(registry.address)
    facts = {"digest": package.digest, "family": "tabular", "task": "regression", "metrics": {}, "card": ""}
    assert store.add_version("phase", tmp_path / "model", **facts) == 1  # type: ignore[arg-type]  # as another host's
    assert [entry.record.number for entry in registry.versions("phase")] == [1]
    assert len(list((tmp_path / "mlartifacts").rglob("model.onnx"))) == 1


def test_a_journal_says_that_it_is_no_model_also_in_a_registry_of_before(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(registry.address.uri, registry.address.uri)
    client.create_registered_model("phase.promotions")
    register()
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    journal = client.get_registered_model("phase.promotions")
    assert journal.tags["lightning_app.kind"] == "journal"
    assert journal.description.startswith("The journal of phase, kept by lightning-app; no model.")
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    assert "promotions" not in capsys.readouterr().out


def test_what_a_model_needs_can_be_installed_or_is_noted(register: Register, tmp_path: Path) -> None:
    register()
    (requirements,) = tmp_path.glob("mlartifacts/**/requirements.txt")
    lines = requirements.read_text().splitlines()
    assert f"onnxruntime=={version('onnxruntime')}" in lines
    own = [line for line in lines if "lightning-r2p" in line]
    assert own == [line for line in own if line.startswith("# ") or "@" in line]
    assert own_requirement("numpy") == f"numpy=={version('numpy')}"
    assert own_requirement("no-such-distribution") is None


@pytest.mark.parametrize(
    ("direct", "wanted"),
    [
        ({"url": "https://host/p", "vcs_info": {"vcs": "git", "commit_id": "abc"}}, "own @ git+https://host/p@abc"),
        (
            {"url": "https://host/own-1.0-py3-none-any.whl", "archive_info": {}},
            "own @ https://host/own-1.0-py3-none-any.whl",
        ),
        ({"url": "file:///home/me/own", "dir_info": {"editable": True}}, None),
    ],
)
def test_where_it_was_installed_from_is_where_it_is_installed_from(
    direct: dict[str, object], wanted: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(json.dumps(direct))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert own_requirement("own") == wanted


def test_a_database_that_does_not_answer_is_told_at_once_and_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(small_package(tmp_path / "package"))
    begin = time.monotonic()
    assert main(["register", package, "--registry", "postgresql://me:secret@127.0.0.1:1/models"]) == 1
    assert time.monotonic() - begin < 10
    error = capsys.readouterr().err
    assert "the registry at postgresql://me:***@127.0.0.1:1/models does not answer" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me@127.0.0.1:1,127.0.0.1:2/models",
        "postgresql://me@127.0.0.1:1/models?host=/run/postgresql",
        "postgresql:///models",
        "mssql+pyodbc://127.0.0.1:1/models",
    ],
)
def test_a_database_whose_place_only_its_driver_knows_is_left_to_it(uri: str) -> None:
    RegistryAddress.find(uri).check()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX user ids to take the right to write away")
def test_a_registry_that_cannot_be_written_says_so_without_sql(
    register: Register, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    registry.resolve("phase@1")
    (tmp_path / "mlflow.db").chmod(0o444)
    others = [path for path in (tmp_path, *tmp_path.parents) if path.stat().st_uid == os.geteuid()]
    before = [path.stat().st_mode for path in others]
    for path in (tmp_path / "cache", tmp_path / ".mlflow.db.locks"):
        subprocess.run(["chmod", "-R", "a+rwX", str(path)], check=True)
    is_root = os.geteuid() == 0
    try:
        if is_root:  # whom no file is closed to
            for path in others:
                path.chmod(path.stat().st_mode | 0o055)
            os.seteuid(65534)
        assert main(["promote", "phase@1", "--to", "champion"]) == 2
        error = capsys.readouterr().err
        (tmp_path / ".mlflow.db.locks" / ".phase.lock").chmod(0o444)
        assert main(["promote", "phase@1", "--to", "champion"]) == 2
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in zip(others, before, strict=True):
            path.chmod(mode)
    assert ".mlflow.db.locks cannot be written: " in capsys.readouterr().err
    assert "mlflow.db cannot be written, it or its folder is read-only" in error
    assert "SQL" not in error
    assert "sqlalche.me" not in error


def test_a_file_that_is_no_database_is_told_without_sql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").write_text("not a database at all, but long enough to be read as one" * 10)
    assert main(["models", "list"]) == 2
    assert "is no database of a registry: file is not a database" in capsys.readouterr().err


def test_an_error_that_says_nothing_of_ours_passes_as_it_is() -> None:
    error = MlflowException("something else", error_code=INVALID_PARAMETER_VALUE)
    with pytest.raises(MlflowException) as raised, translated(RegistryAddress.find("sqlite:///mlflow.db")):
        raise error
    assert raised.value is error
    assert error.__cause__ is None
    assert "something else" in describe(error)


@pytest.mark.slow
@needs_postgres
def test_hosts_share_a_registry_in_postgresql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = str(small_package(tmp_path / "package"))
    with postgres() as url:
        assert main(["register", package, "--registry", url]) == 2
        assert "a database stores no packages; set --artifacts" in capsys.readouterr().err
        program = "import sys; from lightning_app.__main__ import main; sys.exit(main(sys.argv[1:]))"
        root = {"PYTHONPATH": str(CONFIGS.parent)}
        hosts = []
        for host in range(3):
            folder = tmp_path / f"host-{host}"
            folder.mkdir()
            environment = {
                **os.environ,
                **root,
                "LIGHTNING_APP_CACHE": str(folder / "cache"),
                "MLFLOW_TRACKING_URI": url,
            }
            words = [sys.executable, "-c", program, "register", package, "--name", "phase"]
            if not host:  # MLflow's tables are made once
                words += ["--name", "other", "--artifacts", str(tmp_path / "shared")]
                assert subprocess.run(words, env=environment, cwd=folder).returncode == 0
                continue
            hosts.append(subprocess.Popen(words, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True))
        found = {host.communicate()[0].strip().splitlines()[-1] for host in hosts}
        registry = Registry(url, cache=tmp_path / "cache-3")
        assert found == {"registered: phase@1"}
        assert [entry.record.number for entry in registry.versions("phase")] == [1]
        assert Package.load(registry.resolve("phase@1").path).digest == Package.load(package).digest
        assert len(list((tmp_path / "shared").rglob("model.onnx"))) == 2
        champion = ("phase", "champion")
        assert AliasReader(RegistryAddress.find(url)).read([champion]) == {champion: None}
        registry.promote("phase@1", to="champion")
        assert AliasReader(RegistryAddress.find(url)).read([champion]) == {champion: 1}
        assert not list(tmp_path.rglob("mlruns"))
        shutil.move(tmp_path / "shared", tmp_path / "elsewhere")
        assert main(["register", package, "--name", "third", "--registry", url]) == 2
        assert "which does not exist here (another host" in capsys.readouterr().err
