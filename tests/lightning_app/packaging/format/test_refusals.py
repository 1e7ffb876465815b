"""What is not the package that was written is refused, and nothing of it is loaded."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.packaging import Manifest, Package, PackageError
from lightning_app.packaging.format.manifest import FILES, SCHEMA_VERSION
from tests.packages import small_package


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("packages") / "price")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "price"))


@pytest.fixture
def _nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Refused:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pytest.fail("a model was loaded before its package was verified")

    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", Refused)
        yield


def sign(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Writes the manifest anew after a change, with the sizes and checksums that the files have now."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.usefixtures("_nothing_is_loaded")
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_changed_or_cut_off_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for place in {0, len(content) // 2, len(content) - 1}:
        (folder / name).write_bytes(content[:place])
        with pytest.raises(PackageError, match=f"{name} has {place:,} bytes.*cut off or changed"):
            Package.load(folder)
        changed = bytearray(content)
        changed[place] ^= 1
        (folder / name).write_bytes(changed)
        with pytest.raises(PackageError, match=f"{name} has the sha256 .* it was changed"):
            Package.load(folder)
    (folder / name).unlink()
    with pytest.raises(PackageError, match=f"lacks {name}"):
        Package.load(folder)


@pytest.mark.usefixtures("_nothing_is_loaded")
@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "model.onnx.data", "weights.pkl"])
def test_a_file_that_the_manifest_does_not_know_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("more")
    with pytest.raises(PackageError, match=f"has {name}, which the manifest does not list"):
        Package.load(folder)


@pytest.mark.usefixtures("_nothing_is_loaded")
def test_links_folders_and_pipes_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    (folder / "model.onnx").rename(outside)
    for make in (
        lambda place: place.symlink_to(outside),
        lambda place: place.mkdir(),
        lambda place: os.mkfifo(place),
    ):
        make(folder / "model.onnx")
        with pytest.raises(PackageError, match=r"model\.onnx is (a link|no file)"):
            Package.load(folder)
        shutil.rmtree(folder / "model.onnx") if (folder / "model.onnx").is_dir() else (folder / "model.onnx").unlink()


@pytest.mark.usefixtures("_nothing_is_loaded")
@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/passwd", "sub/model.onnx", "..", ".", "", "model.onnx\0"])
def test_a_manifest_that_names_files_elsewhere_is_refused(folder: Path, name: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop("config.yaml")

    sign(folder, change)
    with pytest.raises(PackageError, match=r"files: .* given, 1 to 200 characters|holds a NUL"):
        Package.load(folder)


@pytest.mark.usefixtures("_nothing_is_loaded")
def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="does not exist"):
        Package.load(tmp_path / "nowhere")
    with pytest.raises(PackageError, match=r"has no manifest\.json"):
        Package.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError, match="no folder that can be read"):
        Package.load(tmp_path / "file")


@pytest.mark.usefixtures("_nothing_is_loaded")
def test_a_newer_schema_is_refused_by_name(folder: Path) -> None:
    sign(folder, lambda manifest: manifest.update(schema_version=SCHEMA_VERSION + 1, something_new=1))
    with pytest.raises(PackageError, match=f"schema_version: {SCHEMA_VERSION + 1} given, this version of .* reads up"):
        Package.load(folder)


@pytest.mark.usefixtures("_nothing_is_loaded")
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shape", ["batch", 2**40], r"inputs\[0\].shape: .* at most"),
        ("shape", ["batch", *[2**20] * 7], r"inputs\[0\].shape: .* at most"),
        ("shape", ["batch", *[1] * 100], r"inputs\[0\].shape: .* up to 8"),
        ("shape", ["batch", -4], "sizes from 1"),
        ("shape", ["batch", 4.0], "sizes from 1"),
        ("shape", [4], "'batch' first"),
        ("dtype", "object", r"inputs\[0\].dtype: 'object' given, one of float16"),
        ("name", "../x", r"inputs\[0\].name"),
        ("columns", ["a"], r"inputs\[0\].columns: 1 given, 4 of them"),
        ("columns", ["a", "a", "b", "c"], "different names"),
        ("levels", [0.1, 0.5, 0.9, 1.5], "between 0 and 1"),
    ],
)
def test_a_signature_that_cannot_be_is_refused(folder: Path, key: str, value: Any, message: str) -> None:
    sign(folder, lambda manifest: manifest["inputs"][0].update({key: value}))
    with pytest.raises(PackageError, match=message):
        Package.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "occurs twice"),
        ('{"a": NaN}', "NaN given, numbers must be finite"),
        ('{"a": 1e999}', "numbers must be finite"),
        ('{"a": 99999999999999999999}', "more than 64 bits"),
        ("[" * 100_000, "nested deeper|no valid JSON"),
        ("[" * 40 + "]" * 40, "nested deeper than 32"),
        ('{"a": "\\ud800"}', "lone surrogate"),
        ('{"a": "\\u0000"}', "NUL"),
        ("", "no valid JSON"),
        ("null", "an object needed"),
        ("9" * 10_000, "no valid JSON"),
        ('"' + "a" * 2**21 + '"', "2,097,152 characters"),
        ("[" + "[]," * 2**22 + "[]]", "8,388,610 items, at most 8,388,608"),
    ],
)
def test_json_that_hides_something_is_refused(text: str, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        Manifest.from_json(text.encode())


def test_a_golden_answer_that_is_another_is_refused_unless_it_is_not_asked_for(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["answer"]["price"][1] += 0.01
    (folder / "golden.json").write_text(json.dumps(golden))
    sign(folder)
    with pytest.raises(PackageError, match="answers its golden request differently"):
        Package.load(folder)
    assert Package.load(folder, replay=False).manifest.name == "small_mlp"


@pytest.mark.parametrize(
    "change",
    [
        lambda golden: golden.pop("tolerance"),
        lambda golden: golden.update(tolerance=1e9),
        lambda golden: golden.update(tolerance=float(0)),
        lambda golden: golden.update(answer=[]),
        lambda golden: golden.update(answer={}),
        lambda golden: golden.update(answer={"price": "a"}),
        lambda golden: golden.update(answer={"price": [[1.0]]}),
        lambda golden: golden.update(request={"other": [1.0]}),
        lambda golden: golden.update(request={"features": [[1.0]]}),
        lambda golden: golden.update(request={"features": [[{}, [], 1, 2]]}),
    ],
)
def test_a_golden_file_that_is_none_is_refused(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    change(golden)
    (folder / "golden.json").write_text(json.dumps(golden))
    sign(folder)
    with pytest.raises(PackageError, match=r"golden\.json"):
        Package.load(folder)


def test_a_model_of_another_signature_is_refused(folder: Path, tmp_path: Path) -> None:
    other = small_package(tmp_path / "other", columns=None, num_features=5)
    shutil.copy(other / "model.onnx", folder / "model.onnx")
    sign(folder)
    with pytest.raises(PackageError, match="features: the graph has shape .*5.*, the manifest .*4"):
        Package.load(folder)
    other = small_package(tmp_path / "class", labels=("a", "b"))
    shutil.copy(other / "model.onnx", folder / "model.onnx")
    sign(folder)
    with pytest.raises(PackageError, match="outputs: the graph has 'probabilities', the manifest lists price"):
        Package.load(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(data=st.data())
def test_a_manifest_with_anything_anywhere_is_read_or_refused(original: Path, data: st.DataObject) -> None:
    manifest = json.loads((original / "manifest.json").read_text())
    place: Any = manifest
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            place[key] = data.draw(JSON)
        case "remove":
            del place[key]
        case "add" if isinstance(place, dict):
            place[data.draw(st.text(max_size=8))] = data.draw(JSON)
    try:
        read = Manifest.from_json(json.dumps(manifest).encode())
    except PackageError:
        return
    assert Manifest.from_json(read.to_json()) == read


@settings(deadline=None)
@given(data=st.data())
def test_a_package_cut_off_or_changed_at_any_byte_is_refused(original: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(original, Path(place) / "price"))
        name = data.draw(st.sampled_from([*FILES, "manifest.json"]))
        content = (folder / name).read_bytes()
        end = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            changed = content[:end]
        else:
            changed = content[:end] + bytes([content[end] ^ data.draw(st.integers(1, 255))]) + content[end + 1 :]
        (folder / name).write_bytes(changed)
        try:
            package = Package.load(folder)
        except PackageError:
            return
        # One character of a free text, or a last line's end: another package, and it says so.
        assert name == "manifest.json"
        assert package.digest != hashlib.sha256(content).hexdigest()
