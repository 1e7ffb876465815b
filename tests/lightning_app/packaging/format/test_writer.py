"""A reader sees the whole of a package, or none, whatever happens to its writer."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.packaging import Manifest, Package, PackageError, write_package
from tests.packages import small_package

ROOT = Path(__file__).parents[4]


def contents(folder: Path) -> dict[str, bytes | Path]:
    return {path.name: path for path in folder.iterdir() if path.name != "manifest.json"}


def test_the_same_package_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = (Package.load(small_package(tmp_path / name)) for name in ("one", "two"))
    assert first.digest == second.digest
    assert Package.load(small_package(tmp_path / "other", seed=1)).digest != first.digest


def test_files_are_copied_and_bytes_are_written(tmp_path: Path) -> None:
    original = small_package(tmp_path / "original")
    files = {**contents(original), "MODEL_CARD.md": b"# Another\n"}
    folder = write_package(tmp_path / "deep" / "copy", manifest=Manifest.read(original), files=files)
    assert (folder / "MODEL_CARD.md").read_bytes() == b"# Another\n"
    assert (folder / "model.onnx").read_bytes() == (original / "model.onnx").read_bytes()
    assert Package.load(folder).digest != Package.load(original).digest


def test_further_files_are_part_of_a_package(tmp_path: Path) -> None:
    original = small_package(tmp_path / "original")
    files = {**contents(original), "scale.json": b"[1.5]"}
    folder = write_package(tmp_path / "scaled", manifest=Manifest.read(original), files=files)
    assert (Package.load(folder).path / "scale.json").read_bytes() == b"[1.5]"
    (folder / "scale.json").write_bytes(b"[2.5]")
    with pytest.raises(PackageError, match=r"scale\.json has the sha256"):
        Package.load(folder)
    for name in ("tokenizer.json", "node_ids.parquet", "../scale.json", ".hidden", "manifest.json"):
        with pytest.raises(PackageError, match="files"):
            write_package(tmp_path / "refused", manifest=Manifest.read(original), files={**files, name: b""})
    assert {path.name for path in tmp_path.iterdir()} == {"original", "scaled"}


def test_a_folder_is_replaced_only_if_it_is_a_package_and_that_is_asked_for(tmp_path: Path) -> None:
    folder = small_package(tmp_path / "price")
    old = Package.load(folder).digest
    with pytest.raises(UsageError, match="output: .*price exists; give another path, or --overwrite"):
        small_package(folder, seed=1)
    assert Package.load(folder).digest == old
    small_package(folder, seed=1, overwrite=True)
    assert Package.load(folder).digest != old
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is no package"):
        small_package(tmp_path / "notes", overwrite=True)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UsageError, match="exists and is no folder"):
        small_package(tmp_path / "link", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"price", "notes", "link"}


WEB_APP = '{"name": "My app", "icons": [{"src": "icon.png"}], "start_url": "."}'


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"manifest.json": WEB_APP, "index.html": "<html>"}, "schema_version"),
        ({"manifest.json": "{}"}, "schema_version"),
        ({"manifest.json": '{"schema_version": 1, "files": {}}', "thesis.tex": "years of work"}, "keys"),
        ({"manifest.json": None, "thesis.tex": "years of work"}, "holds 'thesis.tex', which no package has"),
        ({"manifest.json": None, ".git/config": "[core]"}, ".git is no file"),
    ],
)
def test_a_folder_that_we_did_not_write_is_never_replaced(
    files: dict[str, str | None], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = small_package(tmp_path / "ours")
    folder = tmp_path / "mine"
    for name, content in files.items():  # None: the manifest of a package
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ours / name).read_text() if content is None else content)
    with pytest.raises(UsageError, match=f"mine exists and is no package .*{reason}"):
        small_package(folder, overwrite=True)
    assert main(["export", "runs/any", "--output", str(folder), "--overwrite"]) == 2
    assert "mine exists and is no package" in capsys.readouterr().err
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(files)


def test_a_damaged_package_may_be_replaced(tmp_path: Path) -> None:
    folder = small_package(tmp_path / "price")
    (folder / "model.onnx").write_bytes(b"")
    (folder / "golden.json").unlink()
    Package.load(small_package(folder, overwrite=True))


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_files_that_make_no_package_are_not_written(tmp_path: Path, change: str) -> None:
    original = small_package(tmp_path / "original")
    files = contents(original)
    if change == "missing":
        del files["golden.json"]
    else:
        files["../weights.pkl"] = b""
    with pytest.raises(PackageError, match="needed"):
        write_package(tmp_path / "new", manifest=Manifest.read(original), files=files)
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_a_manifest_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    for changes in ({"task": "a/b"}, {"family": ""}, {"lineage": {"loss": float("nan")}}, {"labels": ("a", "b")}):
        with pytest.raises(PackageError):
            small_package(tmp_path / "price", changes=changes)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_finds_a_whole_package_while_it_is_replaced(tmp_path: Path) -> None:
    folder = small_package(tmp_path / "price")
    digests = {Package.load(small_package(tmp_path / str(seed), seed=seed)).digest for seed in (0, 1)}
    stop = threading.Event()
    seen: set[str] = set()
    failed: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(Package.load(folder).digest)
            except Exception as error:
                failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    originals = [(Manifest.read(tmp_path / seed), contents(tmp_path / seed)) for seed in ("0", "1")]
    for manifest, files in originals * 5:
        write_package(folder, manifest=manifest, files=files, overwrite=True)
    stop.set()
    reader.join()
    assert failed == []
    assert seen == digests


WRITER = """
import sys
from itertools import cycle
from pathlib import Path
from lightning_app.packaging import Manifest, write_package
target, *originals = map(Path, sys.argv[1:])
packages = [(Manifest.read(folder), folder) for folder in originals]
print("ready", flush=True)
for manifest, folder in cycle(packages):
    write_package(target, manifest=manifest, files={name: folder / name for name in manifest.files}, overwrite=True)
"""


def test_a_writer_that_is_killed_leaves_the_old_package_or_the_new_one(tmp_path: Path) -> None:
    originals = [small_package(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    folder = small_package(tmp_path / "place" / "price")
    rng = np.random.default_rng(0)
    digests, left = set(), 0
    for _ in range(40):
        if len(digests) == 2 and left:
            break
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), *map(str, originals)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.02, 0.4))
        process.kill()
        process.wait()
        process.stdout.close()
        digests.add(Package.load(folder).digest)
        left += len(list(folder.parent.iterdir())) > 1
    assert len(digests) == 2
    assert left > 0, "none was killed while it wrote"
    small_package(folder, overwrite=True)
    assert [path.name for path in folder.parent.iterdir()] == ["price"], "the next writer removes what dead ones left"
