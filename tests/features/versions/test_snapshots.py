"""Snapshots: the same content has the same id, nothing half is visible, and nothing changed is read."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest

from features.versions import open_snapshot, open_store, take_snapshot

SALES = "day,store,units,loaded_at\n2024-01-01,a,3,2024-01-02\n2024-01-03,b,5,2024-01-05\n"


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    return file


@pytest.fixture
def store(tmp_path: Path):
    return open_store(tmp_path / "store")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_same_content_has_the_same_id_and_is_written_once(sales: Path, store, tmp_path: Path) -> None:
    first = take_snapshot(sales, store=store, name="sales")
    before = {path: path.stat().st_mtime_ns for path in files_of(tmp_path / "store")}
    (tmp_path / "elsewhere").mkdir()
    moved = sales.rename(tmp_path / "elsewhere" / "sales.csv")
    again = take_snapshot(moved, store=store, name="sales")
    assert (first.new, first.blobs, again.new, again.blobs) == (True, 1, False, 0)
    assert again.manifest == first.manifest
    assert {path: path.stat().st_mtime_ns for path in files_of(tmp_path / "store")} == before


def test_a_manifest_says_schema_rows_and_clocks(sales: Path, store) -> None:
    manifest = take_snapshot(sales, store=store, query="select *", code={"version": "1"}).manifest
    assert manifest.schema == {"day": "Date", "store": "String", "units": "Int64", "loaded_at": "Date"}
    assert (manifest.rows, manifest.bytes, manifest.query) == (2, len(SALES), "select *")
    clocks = {name: (clock.column, clock.detected, clock.first, clock.last) for name, clock in manifest.clocks.items()}
    assert clocks == {
        "event_time": ("day", True, "2024-01-01", "2024-01-03"),
        "load_time": ("loaded_at", True, "2024-01-02", "2024-01-05"),
    }


def test_a_clock_that_is_named_is_used_or_refused(sales: Path, store) -> None:
    taken = take_snapshot(sales, store=store, clocks={"event_time": "units"}).manifest
    assert (taken.clocks["event_time"].column, taken.clocks["event_time"].last) == ("units", "5")
    with pytest.raises(ValueError, match=r"load_time: no column 'loaded' in .*; it has day, store, units, loaded_at"):
        take_snapshot(sales, store=store, clocks={"load_time": "loaded"})


def test_what_the_id_covers_changes_it(sales: Path, store) -> None:
    parent = take_snapshot(sales, store=store).manifest.id
    child = take_snapshot(sales, store=store, parents=[parent[:8]]).manifest
    other = take_snapshot(sales, store=store, query="where units > 0").manifest
    assert child.parents == [parent]
    assert len({parent, child.id, other.id}) == 3
    with pytest.raises(ValueError, match="snapshot 'ffffff': not in"):
        take_snapshot(sales, store=store, parents=["ffffff"])


def test_a_name_has_every_version_and_a_reference_finds_one(sales: Path, store) -> None:
    first = take_snapshot(sales, store=store, name="größe").manifest
    sales.write_text(SALES + "2024-01-04,a,1,2024-01-05\n")
    second = take_snapshot(sales, store=store, name="größe").manifest
    assert store.names() == {"größe": [first.id, second.id]}
    assert open_snapshot("größe", store).id == second.id
    assert open_snapshot(f"größe@{first.id[:6]}", store).id == first.id
    assert open_snapshot(first.id, store).scan().collect().height == 2
    with pytest.raises(ValueError, match=r"'sales': not in .*; its names are: größe"):
        open_snapshot("sales", store)
    with pytest.raises(ValueError, match="a name of snapshots is not empty and has no /"):
        take_snapshot(sales, store=store, name="a/b")


def test_a_changed_blob_is_an_error_by_name_and_taking_it_again_restores_it(sales: Path, store, tmp_path: Path) -> None:
    snapshot = take_snapshot(sales, store=store).manifest.id
    blob = open_snapshot(snapshot, store).path()
    blob.chmod(0o644)
    blob.write_text(SALES.replace("3", "4"))
    with pytest.raises(ValueError, match=r"blobs/.*\.csv was changed: sha256 .*, the snapshot's 'sales.csv' has"):
        open_snapshot(snapshot, store).scan()
    blob.unlink()
    with pytest.raises(FileNotFoundError, match="is missing: content of 'sales.csv'"):
        open_snapshot(snapshot, store).path()
    take_snapshot(sales, store=store)
    assert open_snapshot(snapshot, store).path().read_text() == SALES


def test_a_changed_manifest_is_an_error(sales: Path, store, tmp_path: Path) -> None:
    snapshot = take_snapshot(sales, store=store).manifest.id
    (path,) = (tmp_path / "store" / "snapshots").iterdir()
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"query": null', '"query": "other"'))
    with pytest.raises(ValueError, match=r"\.json was changed: its content has the id"):
        open_snapshot(snapshot, store)
    path.write_text('{"schema_version": 2}')
    with pytest.raises(ValueError, match="schema_version 2, this version of lightning-r2p reads up to 1"):
        open_snapshot(snapshot, store)


def test_a_folder_keeps_every_file_and_one_content_once(tmp_path: Path, store) -> None:
    folder = tmp_path / "daten"
    (folder / "märz").mkdir(parents=True)
    for name in ("januar.csv", "märz/日本.csv"):
        (folder / name).write_text(SALES)
    (folder / "notes.txt").write_text("")
    (folder / ".cache").write_text("x")
    taken = take_snapshot(folder, store=store)
    assert [file.path for file in taken.manifest.files] == ["januar.csv", "märz/日本.csv", "notes.txt"]
    assert (taken.blobs, taken.skipped, taken.manifest.rows) == (2, [".cache"], 4)
    snapshot = open_snapshot(taken.manifest.id, store)
    assert snapshot.scan().collect().height == 4
    assert snapshot.path("märz/日本.csv").read_text() == SALES
    assert snapshot.path("notes.txt").read_text() == ""
    with pytest.raises(ValueError, match=r"names no file of several; .* it has januar.csv, märz/日本.csv, notes.txt"):
        snapshot.path()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: (folder / "data.csv").touch(), "is empty"),
        (lambda folder: (folder / "data.parquet").write_text("no"), "is not a readable table"),
        (lambda folder: (folder / "link").symlink_to("nowhere"), "is a broken link"),
        (lambda folder: None, "holds no files"),
        (lambda folder: folder.rmdir(), "does not exist"),
        (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")).write_text(SALES), "not printable UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_and_leaves_no_snapshot(make, message: str, tmp_path: Path, store) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        take_snapshot(folder, store=store)
    assert store.ids() == []


def test_types_hold_for_rows_after_the_ones_they_were_inferred_from(tmp_path: Path, store) -> None:
    file = tmp_path / "late.csv"
    file.write_text("x\n" + "1\n" * 20_000 + "a\n")
    manifest = take_snapshot(file, store=store).manifest
    assert (manifest.schema, manifest.rows) == ({"x": "String"}, 20_001)


def test_a_kill_at_any_moment_leaves_no_half_snapshot(tmp_path: Path, store) -> None:
    source = tmp_path / "big.parquet"
    pl.select(x=pl.int_range(3_000_000).hash()).write_parquet(source, compression="uncompressed")
    program = (
        "import sys; from features.versions import *; print('on', flush=True);"
        "take_snapshot(sys.argv[1], store=open_store(sys.argv[2]), name='big')"
    )
    for delay in (0.0, 0.05, 0.1, 0.2):
        process = subprocess.Popen([sys.executable, "-c", program, source, tmp_path / "store"], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for snapshot in store.ids():
            open_snapshot(snapshot, store).paths()
    taken = take_snapshot(source, store=store, name="big")
    assert store.names() == {"big": [taken.manifest.id]}
    assert open_snapshot("big", store).path().read_bytes() == source.read_bytes()


def test_two_writers_give_one_name_two_numbers(tmp_path: Path) -> None:
    program = (
        "import sys; from features.versions import *;"
        "[take_snapshot(sys.argv[1], store=open_store(sys.argv[2]), name='n', query=sys.argv[3] + str(i)) "
        "for i in range(10)]"
    )
    source = tmp_path / "a.csv"
    source.write_text(SALES)
    writers = [
        subprocess.Popen([sys.executable, "-c", program, source, tmp_path / "store", word]) for word in ("a", "b")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = open_store(tmp_path / "store")
    assert len(store.named("n")) == len(set(store.named("n"))) == len(store.ids()) == 20


def test_a_file_that_changes_while_it_is_copied_is_refused(sales: Path, store) -> None:
    from features.versions.manifest import FileEntry

    with pytest.raises(ValueError, match="changed while it was copied"):
        store.put_file(sales, FileEntry(path="sales.csv", sha256="0" * 64, bytes=len(SALES)))
    assert not any(files_of(store.folder))


def test_a_disk_that_is_full_is_named_and_leaves_nothing(tmp_path: Path, store) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(3_000_000))
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from lightning_app.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)); sys.exit(main(sys.argv[1:]))"
    )
    words = ["data", "snapshot", source, "--store", tmp_path / "store"]
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "3,000,000 bytes are needed" in answer.stderr
    assert "blobs/" in answer.stderr
    assert files_of(store.folder) == []


def test_a_store_that_cannot_be_written_is_read(sales: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        snapshot = take_snapshot(sales, store=open_store(f"{folder}/store"), name="sales").manifest.id
        code = (
            "import os, sys; from features.versions import *; import polars; store = open_store(sys.argv[1]);"
            "os.geteuid() or os.seteuid(65534);"  # the administrator may write everywhere
            "print(open_snapshot('sales', store).path().read_bytes() == b'', open_snapshot('sales', store).id);"
            "store.create('names/sales/000002.json', b'')"
        )
        for path in (Path(folder, "store"), *Path(folder, "store").rglob("*/")):
            path.chmod(0o555)
        answer = subprocess.run(
            [sys.executable, "-c", code, f"{folder}/store"], capture_output=True, text=True, check=False
        )
        assert answer.stdout.split() == ["False", snapshot]
        assert "PermissionError" in answer.stderr
        for path in (Path(folder, "store"), *Path(folder, "store").rglob("*/")):
            path.chmod(0o755)


@pytest.mark.slow
def test_a_gigabyte_is_taken_in_bounded_memory(tmp_path: Path) -> None:
    source = tmp_path / "big.csv"
    with source.open("w") as file:
        for block in range(500):
            rows = (f"2024-01-01T00:00:00,{block},{row},{'x' * 60}\n" for row in range(26_000))
            file.write(("time,block,row,text\n" if block == 0 else "") + "".join(rows))
    program = (
        "import resource, sys; from features.versions import *;"
        "taken = take_snapshot(sys.argv[1], store=open_store(sys.argv[2]));"
        "print(taken.manifest.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, source, tmp_path / "store"], capture_output=True, text=True, check=True
    )
    rows, peak = map(int, answer.stdout.split())
    assert source.stat().st_size > 1e9
    assert rows == 13_000_000
    assert peak < 600, f"{peak} MiB"
