import subprocess
from pathlib import Path

import pytest

from lightning_app import __version__
from lightning_app.runs import lineage


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, taken for the project's own."""
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text("x = 1\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def code() -> dict[str, str | None]:
    found: dict[str, str | None] = lineage.describe_lineage(seed=0, data={}, parent=None)["framework"]
    return found


def test_a_clean_checkout_has_a_commit_and_no_diff(checkout: Path) -> None:
    assert code()["commit"] is not None
    assert code()["dirty_diff"] is None


@pytest.mark.parametrize(
    ("file", "content"), [("code.py", b"x = 2\n"), ("new.py", b"y = 1\n"), ("code.py", b"\xff\xfe")]
)
def test_changed_and_new_files_are_seen_whatever_their_bytes(checkout: Path, file: str, content: bytes) -> None:
    (checkout / file).write_bytes(content)
    first = code()["dirty_diff"]
    assert first is not None
    (checkout / file).write_bytes(content + b"more")
    assert code()["dirty_diff"] not in (first, None)


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code() == {"name": "lightning-r2p", "version": __version__, "commit": None, "dirty_diff": None}


def test_a_lineage_that_calls_the_framework_code_is_read() -> None:
    older = {"code": {"commit": "abc", "dirty_diff": None}, "environment": {"lightning-r2p": "0.0.9"}}
    assert lineage.framework_of(older) == {"version": "0.0.9", "commit": "abc", "dirty_diff": None}
    assert lineage.framework_of({}) == {"version": None, "commit": None, "dirty_diff": None}
