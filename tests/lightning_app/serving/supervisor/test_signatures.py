"""Signed packages: a server with trusted keys serves nothing else, and keeps the version before."""

import re
import shutil
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.lightning_app.serving.supervisor.conftest import Versions
from tests.lightning_app.serving.supervisor.running_server import running_server
from tests.lightning_app.serving.supervisor.test_under_load import OPTIONS, wait_for_reloads
from tests.signing_keys import signing_keys

pytest.importorskip("model_signing", reason="needs the extra signing")


def test_only_a_signed_folder_is_served(package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    private, public = signing_keys(tmp_path)
    folder = shutil.copytree(package, tmp_path / "package")
    words = ["serve", str(folder), "--trusted-key", public, "--check", "--workers", "1", "--journal", "none"]
    assert main([*words, "--port", "0"]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.match(r"error: .*is not signed, a trusted key is required", error), error
    assert main(["package", "sign", str(folder), "--key", private]) == 0
    assert main([*words, "--port", "0"]) == 0


@pytest.mark.slow
def test_an_alias_that_moves_to_an_unsigned_version_is_refused_and_the_one_before_stays(
    versions: Versions, tmp_path: Path
) -> None:
    private, public = signing_keys(tmp_path)
    for number in (1, 2):
        folder = str(tmp_path / f"package-{number}")
        if number == 1:
            assert main(["package", "sign", folder, "--key", private]) == 0
            assert main(["register", folder, "--name", "phase"]) == 0  # the same version, now with its signature
    with running_server("phase@champion", "--trusted-key", public, *OPTIONS) as server:
        versions.move(2)
        server.wait_for_log(f"phase@2 is refused, phase@1 {versions.digests[1][:12]} is served on: package: ")
        assert server.get("/health/ready")["models"]["phase"]["version"] == 1
        assert main(["package", "sign", str(tmp_path / "package-2"), "--key", private]) == 0
        assert main(["register", str(tmp_path / "package-2"), "--name", "phase"]) == 0
        versions.move(1)
        versions.move(2)
        wait_for_reloads(server, 1)
        assert server.get("/health/ready")["models"]["phase"]["version"] == 2
        assert server.stop() == 0
