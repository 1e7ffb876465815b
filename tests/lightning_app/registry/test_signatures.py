"""Signatures in a registry: checked when a package is registered, carried along, and replaced."""

import shutil

import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import PackageError
from lightning_app.packaging.format.folder import SIGNATURE
from lightning_app.packaging.format.package_signature import sign_package, verify_signature
from tests.packages import small_package
from tests.signing_keys import signing_keys

pytest.importorskip("model_signing", reason="needs the extra signing")


def test_only_signed_packages_are_registered_where_a_key_is_trusted(tmp_path, capsys, monkeypatch, registry):
    private, public = signing_keys(tmp_path)
    folder = small_package(tmp_path / "package")
    assert main(["register", str(folder), "--trusted-key", public]) == 2
    assert "is not signed" in capsys.readouterr().err
    monkeypatch.setenv("LIGHTNING_APP_TRUSTED_KEYS", public)
    assert main(["register", str(folder)]) == 2
    monkeypatch.delenv("LIGHTNING_APP_TRUSTED_KEYS")
    assert main(["package", "sign", str(folder), "--key", private]) == 0
    assert main(["register", str(folder), "--trusted-key", public]) == 0
    resolved = registry.resolve("small_mlp@1")
    assert verify_signature(resolved.path, [tmp_path / "key.pub.pem"]).digest == resolved.digest


def test_a_version_that_is_signed_later_is_verified_from_the_cache_too(tmp_path, registry):
    private, public = (signing_keys(tmp_path)[0], [tmp_path / "key.pub.pem"])
    folder = small_package(tmp_path / "package")
    assert registry.register(folder) == 1
    resolved = registry.resolve("small_mlp@1")
    with pytest.raises(PackageError, match="is not signed"):
        registry.verify_signature(resolved, public)
    sign_package(folder, private)
    assert registry.register(folder) == 1  # the same version
    registry.verify_signature(resolved, public)
    assert (resolved.path / SIGNATURE).read_bytes() == (folder / SIGNATURE).read_bytes()

    sign_package(folder, signing_keys(tmp_path, "new")[0])  # by another key
    registry.register(folder)
    registry.verify_signature(resolved, public)  # the cached one is still valid
    registry.verify_signature(resolved, [tmp_path / "new.pub.pem"])
    shutil.rmtree(resolved.path)
    assert (registry.resolve("small_mlp@1").path / SIGNATURE).read_bytes() == (folder / SIGNATURE).read_bytes()
