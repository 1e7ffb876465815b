"""Package signatures: signed, verified, and refused where anything else than what was signed is there."""

import shutil
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.format.folder import SIGNATURE
from lightning_app.packaging.format.package_signature import sign_package, verify_signature
from tests.lightning_app.packaging.format.test_refusals import sign
from tests.packages import small_package
from tests.signing_keys import rsa_keys, signing_keys

verifying = pytest.importorskip("model_signing.verifying", reason="needs the extra signing")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return signing_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory):
    return signing_keys(tmp_path_factory.mktemp("keys"), "other")


@pytest.fixture(scope="module")
def signed(tmp_path_factory, keys):
    folder = small_package(tmp_path_factory.mktemp("signed") / "package")
    sign_package(folder, keys[0])
    return folder


@pytest.fixture
def package(signed, tmp_path):
    """A copy of a signed package under another name."""
    return Path(shutil.copytree(signed, tmp_path / "copy"))


def test_a_package_is_signed_and_verified_and_stays_the_same_package(tmp_path, keys, other_keys, capsys):
    folder = small_package(tmp_path / "package")
    digest = Package.load(folder).digest
    assert main(["package", "verify", str(folder), "--trusted-key", keys[1]]) == 2
    assert "is not signed, a trusted key is required" in capsys.readouterr().err
    assert main(["package", "sign", str(folder), "--key", keys[0]]) == 0
    assert capsys.readouterr().out == f"signed: {folder}, digest {digest}\n"
    assert Package.load(folder).digest == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package"]  # nothing is left beside it
    assert main(["package", "show", str(folder)]) == 0
    assert "\nsigned; " in capsys.readouterr().out
    words = ["package", "verify", str(folder), "--trusted-key", other_keys[1], "--trusted-key", keys[1]]
    assert main(words) == 0
    assert f"signed by {keys[1]}" in capsys.readouterr().out
    small_package(folder, seed=1, overwrite=True)
    assert not (folder / SIGNATURE).exists()


def test_signatures_are_those_of_the_model_signing_project(package, keys):
    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(package, package / SIGNATURE)


def _another_model(package, keys):
    shutil.copy(small_package(package.parent / "new", seed=5) / "model.onnx", package)


def _consistent_manifest(package, keys):
    _another_model(package, keys)
    sign(package)  # writes the manifest anew: the package is valid, but not what was signed


def _signature_of_another(package, keys):
    other = small_package(package.parent / "new", seed=5)
    sign_package(other, keys[0])
    shutil.copy(other / SIGNATURE, package)


def _no_signature(package, keys):
    (package / SIGNATURE).unlink()


def _no_json(package, keys):
    (package / SIGNATURE).write_text("{}")


def _empty(package, keys):
    (package / SIGNATURE).write_bytes(b"")


def _cut_off(package, keys):
    (package / SIGNATURE).write_bytes((package / SIGNATURE).read_bytes()[:-200])


def _too_large(package, keys):
    (package / SIGNATURE).write_bytes(bytes(65 * 2**20))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_another_model, "model.onnx has"),
        (_consistent_manifest, "no valid signature by a trusted key .*not those that were signed"),
        (_signature_of_another, "no valid signature by a trusted key"),
        (_no_signature, "is not signed"),
        (_no_json, "no valid signature by a trusted key"),
        (_empty, "no valid signature by a trusted key"),
        (_cut_off, "no valid signature by a trusted key"),
        (_too_large, "signature.json has more than"),
    ],
)
def test_what_was_not_signed_is_refused(package, keys, change, message):
    assert verify_signature(package, [Path(keys[1])]).digest == Package.load(package).digest
    change(package, keys)
    with pytest.raises(PackageError, match=message) as refused:
        verify_signature(package, [Path(keys[1])])
    assert "\n" not in str(refused.value)


def test_the_signature_of_another_key_is_refused(package, other_keys):
    with pytest.raises(PackageError, match=r"no valid signature by a trusted key \(other.pub.pem: signed by another"):
        verify_signature(package, [Path(other_keys[1])])


def test_unusable_keys_and_options_are_refused_in_one_line(package, keys, tmp_path, capsys, monkeypatch):
    private, public = rsa_keys(tmp_path)
    locked, _ = signing_keys(tmp_path, "locked", password=b"secret")
    for words, message in (
        (["sign", "--key", private], "P-256, P-384 or P-521"),
        (["sign", "--key", keys[1]], "P-256, P-384 or P-521"),
        (["sign", "--key", str(tmp_path / "none.pem")], "none.pem"),
        (["sign", "--key", locked], "$LIGHTNING_APP_SIGNING_PASSWORD"),
        (["sign"], "sign needs --key PEM"),
        (["verify", "--key", keys[0]], "--key is for sign"),
        (["show", "--trusted-key", keys[1]], "--trusted-key is for verify"),
        (["verify", "--trusted-key", public], "P-256, P-384 or P-521"),
        (["verify", "--trusted-key", keys[0]], "P-256, P-384 or P-521"),
        (["verify", "--trusted-key", str(tmp_path / "none.pem")], "none.pem"),
    ):
        assert main(["package", words[0], str(package), *words[1:]]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    monkeypatch.setenv("LIGHTNING_APP_SIGNING_PASSWORD", "secret")
    assert main(["package", "sign", str(package), "--key", locked]) == 0
