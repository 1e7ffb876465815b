"""Versions from the command line: registered, promoted, found, answering."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package, TensorSpec
from lightning_app.registry import Registry
from lightning_app.registry.storage.mlflow_model import write_mlflow_model
from tests.packages import manifest_of, onnx_model, package_of, small_package
from tests.registries import place_registry

Register = Callable[..., int]


def test_a_package_becomes_a_version_that_is_found_by_number_and_by_alias(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    out = capsys.readouterr().out
    assert "registered: phase@1" in out
    assert "promoted: phase@1 is champion" in out
    for model in ("phase", "phase@champion", "phase@1"):
        found = registry.resolve(model)
        assert (found.name, found.version, found.aliases) == ("phase", 1, ("champion",))
        assert Package.load(found.path).digest == registry.versions("phase")[0].record.digest
    assert registry.resolve("package-1").version is None


def test_the_same_package_is_the_same_version_however_often_it_is_registered(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    assert main(["register", "package-1", "--name", "phase"]) == 0
    assert capsys.readouterr().out.count("registered: phase@1") == 2
    assert len(registry.versions("phase")) == 1


def test_mlflow_loads_the_champion_and_it_answers_like_the_package(register: Register, registry: Registry) -> None:
    import mlflow

    register()
    register(labels=("low", "middle", "high"))
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    mlflow.set_tracking_uri(registry.address.uri)
    features = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    model = mlflow.pyfunc.load_model("models:/phase@champion")
    wanted = Package.load("package-1").predict({"features": features})["price"]
    np.testing.assert_array_equal(model.predict({"features": features})["price"], wanted)
    table = pd.DataFrame({"features": features.tolist()})
    np.testing.assert_array_equal(model.predict(table)["price"], wanted)
    labels = mlflow.pyfunc.load_model("models:/phase/2").predict(table)["label"].tolist()
    assert labels == Package.load("package-2").predict({"features": features})["label"].tolist()
    assert not list(Path("mlartifacts").rglob("*.pkl"))


def test_what_is_shown_names_versions_aliases_metrics_and_who_changed_what(
    register: Register, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    register(noise=0.3)
    register(noise=0.1)
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    assert main(["promote", "phase@2", "--to", "champion", "--force", "it is Friday"]) == 0
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "phase" in line]
    assert [cell.strip() for cell in line.split("│")][1:4] == ["phase", "2", "2"]
    assert main(["models", "show", "phase"]) == 0
    out = capsys.readouterr().out
    for word in ("previous", "champion", "test/mse", "promote: champion 1 -> 2", "it is Friday"):
        assert word in out
    assert main(["models", "show", "phase@champion"]) == 0
    assert "phase@2 (champion)" in capsys.readouterr().out
    assert main(["models", "compare", "phase@previous", "phase@champion", "package-1"]) == 0
    out = capsys.readouterr().out
    assert "error against phase@1" in out
    assert "+0.0% (+0.0% to +0.0%)" in out  # the folder is the package of version 1


WRONG = [
    (["register", "nowhere"], "package: nowhere does not exist"),
    (["register", "package-1", "--name", "a/b"], "name: 'a/b' given"),
    (["register", "package-1", "--name", "phase.promotions"], "kept for the journal"),
    (["promote", "phase", "--to", "champion"], "say which version, e.g. phase@1"),
    (["promote", "phase@7", "--to", "champion"], "phase has the versions 1"),
    (["promote", "phase@best", "--to", "champion"], "champion, challenger, shadow, previous"),
    (["promote", "other@1", "--to", "champion"], "there is no model 'other'"),
    (["promote", "phase@shadow", "--to", "champion"], "no version of phase has that alias"),
    (["promote", "phase@1", "--to", "previous"], "invalid choice: 'previous'"),
    (["promote", "phase@1", "--to", "shadow", "--force", " "], "force: a reason is needed"),
    (["promote", "phase@1", "--to", "shadow", "--registry", "mlruns"], "registry: 'mlruns' given"),
    (["promote", "phase@1", "--to", "shadow", "--registry", "sqlite:///a#1.db"], "a#1.db holds #"),
    (["rollback", "phase"], "no champion before"),
    (["models", "show", "other"], "there is no model 'other'; there are: phase"),
    (["models", "compare", "phase@1"], "two or more"),
]


def test_what_is_asked_wrongly_is_told_in_a_line(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    for args, message in WRONG:
        assert main(args) == 2, args
        assert message in capsys.readouterr().err


def test_a_damaged_package_becomes_no_version(
    tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_package(tmp_path / "package")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    assert main(["register", str(folder)]) == 2
    assert "model.onnx" in capsys.readouterr().err
    assert registry.names() == []


def test_a_damaged_copy_in_the_cache_is_fetched_anew_and_a_damaged_original_is_refused(
    register: Register, registry: Registry, tmp_path: Path
) -> None:
    register()
    found = registry.resolve("phase@1").path
    (found / "model.onnx").write_bytes(b"changed")
    assert Package.load(registry.resolve("phase@1").path)
    (original,) = (tmp_path / "mlartifacts").rglob("model.onnx")
    original.write_bytes(b"changed")
    assert registry.resolve("phase@1").path == found  # the copy is whole, the original is not asked
    shutil.rmtree(found)
    with pytest.raises(ValueError, match="files in the registry are damaged: model.onnx.* register the package again"):
        registry.resolve("phase@1")
    assert not list((tmp_path / "cache" / "packages").iterdir())


def test_a_registry_that_is_not_there_is_not_made_by_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    for args in (["models", "list"], ["models", "show", "phase@1"], ["promote", "phase@1", "--to", "shadow"]):
        assert main([*args, "--registry", f"sqlite:///{elsewhere}"]) == 1
        assert "register a package first" in capsys.readouterr().err
    assert not elsewhere.exists()


def test_a_registry_in_a_folder_with_an_odd_name_keeps_its_files_there(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "50 of no. 1 & more"
    folder.mkdir()
    place_registry(folder, request.config)
    package = small_package(tmp_path / "package")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    assert registry.register(package, "phase") == 1
    assert Package.load(registry.resolve("phase@1").path).digest == Package.load(package).digest
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == ["mlartifacts", "mlflow.db"]


def test_models_of_others_are_left_alone(register: Register, registry: Registry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(registry.address.uri, registry.address.uri)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", "s3://bucket/model")
    register()
    assert main(["models", "list"]) == 0
    with pytest.raises(ValueError, match="there is no model 'theirs'"):
        registry.resolve("theirs@1")


def test_mlflow_asks_a_package_of_graphs_with_a_graph_per_row(tmp_path: Path, registry: Registry) -> None:
    import mlflow
    from onnx import helper

    inputs = [
        TensorSpec(name="x", dtype="float32", shape=("nodes", 2)),
        TensorSpec(name="edge_index", dtype="int64", shape=(2, "edges")),
    ]
    outputs = [TensorSpec(name="twice", dtype="float32", shape=("nodes", 2))]
    model = onnx_model([helper.make_node("Mul", ["x", "two"], ["twice"])], inputs, outputs, {"two": np.float32([2])})
    manifest = manifest_of(
        inputs=inputs, outputs=outputs, name="graphs", family="graph", task="graph_regression", layout="graphs"
    )
    nodes = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    edges = [[[0, 1], [1, 0]], [[0, 0]]]
    arrays = {"x": [np.float32(rows) for rows in nodes], "edge_index": [np.int64(rows) for rows in edges]}
    registry.register(package_of(tmp_path / "package", manifest, model, arrays))
    mlflow.set_tracking_uri(registry.address.uri)
    answer = mlflow.pyfunc.load_model("models:/graphs/1").predict(pd.DataFrame({"x": nodes, "edge_index": edges}))
    assert [np.array(rows).tolist() for rows in answer["twice"]] == [[[2.0, 4.0], [6.0, 8.0]], [[10.0, 12.0]]]


@pytest.mark.parametrize("labels", [None, ("low", "high")])
def test_mlflow_asks_for_rows_of_any_length_by_arrays_and_by_tables(
    labels: tuple[str, ...] | None, tmp_path: Path
) -> None:
    import mlflow
    from onnx import helper

    inputs = [TensorSpec(name="values", dtype="float32", shape=("batch", "seq_len"))]
    name = "forecast" if labels is None else "probabilities"
    outputs = [TensorSpec(name=name, dtype="float32", shape=("batch", 2))]
    mean = helper.make_node("ReduceMean", ["values", "last"], ["mean"], keepdims=1)
    pair = helper.make_node("Concat", ["mean", "mean"], [name], axis=1)
    model = onnx_model([mean, pair], inputs, outputs, {"last": np.array([1])})
    manifest = manifest_of(
        inputs=inputs, outputs=outputs, family="recurrent", task="trajectory", layout="stream", labels=labels
    )
    package = package_of(tmp_path / "package", manifest, model, {"values": np.ones((3, 5), dtype=np.float32)})
    write_mlflow_model(package, manifest, tmp_path / "model")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows = [[1.0, 2.0], [3.0, 4.0, 5.0]]
    for request in (pd.DataFrame({"values": rows}), {"values": rows}):
        assert [list(row) for row in loaded.predict(request)[name]] == [[1.5, 1.5], [4.0, 4.0]]
    assert list(loaded.predict({"values": np.ones((1, 4), dtype=np.float32)})[name][0]) == [1.0, 1.0]
