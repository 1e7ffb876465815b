"""What the command refuses before it serves: one line, exit code 2."""

import re
import socket
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.serving.command import run
from lightning_app.serving.config.serve_config import JournalConfig, Limits, ModelConfig, ServeConfig
from tests.conftest import CONFIGS
from tests.packages import small_package

NO_JOURNAL = ("--journal", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "models: none given; give NAME@champion, the folder of a package, or --config FILE"),
        (["PACKAGE", "--config", "server.yaml"], "models: .* given with --config, which lists its own"),
        (["--config", "server.yaml", "--digits", "3"], "--digits: given with --config, where each model has its own"),
        (["--config", "missing.yaml"], "config: 'missing.yaml' does not exist"),
        (["--config", "wrong.yaml"], r"config: wrong.yaml: .*unknown field `modells`, did you mean 'models'\?"),
        (["PACKAGE", "--prot", "1"], r"serve: unrecognized arguments: --prot 1, did you mean '--port'\?"),
        (["PACKAGE", "--workers", "0"], "--workers: 0 given; expected `int` >= 1"),
        (["PACKAGE", "--batching", "on"], "--batching: 'on' given; invalid enum value 'on'"),
        (["PACKAGE", "PACKAGE", "--name", "one"], "--name: 'one' given for 2 models"),
        (["PACKAGE", "PACKAGE"], "name: .*package and .*package would both be served as 'small_mlp'"),
        (["PACKAGE", "--name", "a/b"], "--name: 'a/b' given; expected `str` matching regex"),
        (["PACKAGE", "--namespace", "shop"], "namespace: 'shop' given without a store"),
        (["PACKAGE", "--host", "0.0.0.0"], "host: 0.0.0.0 given without keys: everyone who reaches it could ask"),
        (["PACKAGE", "--host", "192.0.2.1", "--insecure"], "host: 192.0.2.1 is no address of this machine"),
        (["PACKAGE", "--host", "nowhere.invalid", "--insecure"], "host: 'nowhere.invalid' is not known"),
        (["PACKAGE", "--keys", "missing.yaml"], "keys: missing.yaml cannot be read: No such file"),
        (["PACKAGE", "--keys", "bad_keys.yaml"], r"keys: bad_keys.yaml: .*sha256"),
        (["PACKAGE", "--keys", "no_keys.yaml"], "keys: no_keys.yaml holds no key; make one with"),
        (["PACKAGE", "--tls-cert", "cert.pem"], "tls_key: none given beside tls_cert; TLS needs both"),
        (["PACKAGE", "--tls-cert", "cert.pem", "--tls-key", "key.pem"], "tls_cert: cert.pem cannot be read"),
        (["PACKAGE", "--tls-cert", "wrong.yaml", "--tls-key", "wrong.yaml"], "tls_cert: .* no certificate and its key"),
        (["PACKAGE", "--otlp-endpoint", "localhost:4318"], "otlp_endpoint: 'localhost:4318' is no address"),
        (["PACKAGE", "--trusted-key", "key.pub"], "trusted_keys: key.pub cannot be read: No such file"),
        (["./missing"], "model: ./missing does not exist"),
        ([".", "--name", "here"], r"model: \. has no manifest.json, so it is no package"),
        (["phase"], "there is no registry at .*mlflow.db; register a package first"),
        (["phase@newest"], "model: 'phase@newest' given; after @ a version's number is needed, or one of champion"),
        (["PACKAGE", "--journal", "mysql://me/journal"], "journal: .*mysql"),
        (["damaged"], "model: small_mlp cannot be served: .*model.onnx has .* bytes, the manifest says"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_said_in_one_line(
    words: list[str], message: str, package: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("server.yaml").write_text(f"models: [{{model: {package}}}]\n")
    Path("wrong.yaml").write_text("modells: []\n")
    for name, keys in (("bad_keys.yaml", "keys: [{id: me, sha256: abc, scopes: [predict]}]"), ("no_keys.yaml", "{}")):
        Path(name).write_text(keys)
        Path(name).chmod(0o600)
    if "damaged" in words:
        with (small_package(Path("damaged")) / "model.onnx").open("ab") as model:
            model.write(b"more")
    journal = () if "--journal" in words else NO_JOURNAL
    code = main(["serve", *(str(package) if word == "PACKAGE" else word for word in words), *journal, "--port", "0"])
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.match(f"error: (RegistryUnreachableError: )?{message}", error), error
    assert code == (1 if "there is no registry" in message else 2)


def test_a_port_in_use_is_said_before_anything_is_loaded(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(package), "--port", str(port)]) == 2
    expected = f"error: port: {port} of 127.0.0.1 is in use; give another one with --port (0 takes a free one)\n"
    assert capsys.readouterr().err == expected


def test_check_loads_everything_says_what_it_is_and_stops(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # a server that runs is not disturbed
        assert main(["serve", str(package), "--check", "--port", str(taken.getsockname()[1]), *NO_JOURNAL]) == 0
    assert re.match(
        rf"every model was loaded and verified; small_mlp [0-9a-f]{{12}} \({package}\); 1 worker; journal none; "
        r"no API keys: this machine only\n",
        capsys.readouterr().out,
    )


def test_without_the_extra_the_command_says_what_to_install(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_app.serving.command._NEEDED", ("starlette", "not_installed"))
    with pytest.raises(ValueError, match=r"serve: needs not_installed: pip install 'lightning-r2p\[serve\]'"):
        run(["serve", str(package)])


def test_the_shipped_example_has_every_key_and_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    text = (CONFIGS / "serving" / "several_models.yaml").read_text()
    structs = (ServeConfig, ModelConfig, Limits, JournalConfig)
    keys = {field for struct in structs for field in struct.__struct_fields__}
    assert keys <= set(re.findall(r"^[ #-]*(\w+):", text, re.MULTILINE))
    for name in ("price", "demand"):
        small_package(Path("packages", name), name=name)
    assert main(["keys", "add", "keys.yaml", "--id", "shop"]) == 0
    Path("server.yaml").write_text(text.replace("price@champion", "packages/price"))
    capsys.readouterr()
    assert main(["serve", "--config", "server.yaml", "--check", "--journal", "none"]) == 0
    assert re.match(r"every model was loaded and verified; price \w+ .*, demand \w+ .*", capsys.readouterr().out)
    assert main(["serve", "--config", "serving/several_models", "--host", "0.0.0.0", "--keys", "none.yaml"]) == 2
    assert "keys: none.yaml cannot be read" in capsys.readouterr().err
