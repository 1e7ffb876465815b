"""Snapshots on an S3-compatible server: the same layout, and no writer overwrites another."""

import socket
from pathlib import Path

import pytest

from features.versions import open_snapshot, open_store, take_snapshot

pytest.importorskip("obstore", reason="S3 needs the extra s3")
moto_server = pytest.importorskip("moto.server", reason="the local S3 server is moto's, of the extra dev")
boto3 = pytest.importorskip("boto3", reason="the local S3 server is moto's, of the extra dev")


@pytest.fixture(scope="module")
def server():
    running = moto_server.ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "LIGHTNING_APP_SNAPSHOT_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server, region_name="eu-central-1")
    client.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    for item in client.list_objects_v2(Bucket="data").get("Contents", []):
        client.delete_object(Bucket="data", Key=item["Key"])
    client.delete_bucket(Bucket="data")


def keys(client) -> list[str]:
    return sorted(item["Key"] for item in client.list_objects_v2(Bucket="data").get("Contents", []))


def test_the_same_snapshot_lies_in_a_folder_and_in_a_bucket(bucket, tmp_path: Path) -> None:
    source = tmp_path / "größe"
    source.mkdir()
    (source / "日本.csv").write_text("time,x\n2024-01-01,1\n")
    (source / "large.bin").write_bytes(bytes(range(256)) * 80_000)  # 20 MB: several parts
    address = "s3://data/team/größe"
    there = take_snapshot(source, store=open_store(address), name="größe")
    here = take_snapshot(source, store=open_store(tmp_path / "store"), name="größe")
    assert there.manifest.id == here.manifest.id
    local = [p.relative_to(tmp_path / "store").as_posix() for p in (tmp_path / "store").rglob("*") if p.is_file()]
    assert [key.removeprefix("team/größe/") for key in keys(bucket)] == sorted(local)
    again = take_snapshot(source, store=open_store(address), name="größe")
    assert (again.new, again.blobs) == (False, 0)
    snapshot = open_snapshot("größe", address)
    assert snapshot.scan().collect().rows() == here_rows(tmp_path)
    assert snapshot.path("large.bin").read_bytes() == (source / "large.bin").read_bytes()


def here_rows(tmp_path: Path) -> list[tuple]:
    return open_snapshot("größe", tmp_path / "store").scan().collect().rows()


def test_a_second_writer_does_not_overwrite(bucket) -> None:
    store = open_store("s3://data")
    assert store.create("names/n/000001.json", b"first")
    assert not store.create("names/n/000001.json", b"second")
    assert store.read("names/n/000001.json") == b"first"


def test_a_changed_object_and_a_missing_one_are_errors_by_name(bucket, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    snapshot = take_snapshot(file, store=open_store("s3://data")).manifest.id
    (key,) = (key for key in keys(bucket) if key.startswith("blobs/"))
    bucket.put_object(Bucket="data", Key=key, Body=b"x\n2\n")
    with pytest.raises(ValueError, match=r"s3://data/blobs/.*\.csv was changed: sha256"):
        open_snapshot(snapshot, "s3://data").path()
    bucket.delete_object(Bucket="data", Key=key)
    with pytest.raises(FileNotFoundError, match=r"s3://data/blobs/.* is missing: content of 'a.csv'"):
        open_snapshot(snapshot, "s3://data").path()


def test_a_large_file_that_changes_while_it_is_copied_is_not_stored(bucket, tmp_path: Path) -> None:
    from features.versions.manifest import FileEntry

    file = tmp_path / "large.bin"
    file.write_bytes(bytes(20_000_000))
    with pytest.raises(ValueError, match="changed while it was copied"):
        open_store("s3://data").put_file(file, FileEntry(path="large.bin", sha256="0" * 64, bytes=20_000_000))
    assert keys(bucket) == []


def test_a_bucket_that_does_not_exist_is_named(bucket, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    with pytest.raises(ConnectionError, match="store s3://other: its bucket does not exist"):
        take_snapshot(file, store=open_store("s3://other"))
    with pytest.raises(ConnectionError, match="store s3://other: its bucket does not exist"):
        open_snapshot("sales", "s3://other")


@pytest.mark.slow
def test_a_server_that_is_down_is_named(bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(ConnectionError, match="store s3://data"):
        open_snapshot("sales", "s3://data")


def test_an_address_of_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="store 'gs://data': scheme 'gs', allowed: a folder, or s3://bucket/prefix"):
        open_store("gs://data")
