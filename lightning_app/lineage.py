"""What a run was made from."""

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightning_app import __version__

_PACKAGES = ("torch", "lightning", "torchmetrics", "jsonargparse", "wandb", "numpy", "polars")
_ROOT = Path(__file__).resolve().parent.parent
_LOCK = _ROOT / "requirements.lock"


def describe_lineage(*, seed: int | None, data: dict[str, Any], parent: str | None) -> dict[str, Any]:
    """Collects code, data, environment and parent of a run.

    Args:
        seed: Seed of the run.
        data: Fingerprint of the data, see `BaseDataModule.fingerprint`.
        parent: Checkpoint that the run continues, or None.

    Returns:
        Plain data, ready for JSON. `code.commit` is None outside a git checkout; `code.dirty_diff` is the sha256 of
        the uncommitted changes, new files included, None if there are none.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": sys.argv,
        "parent": parent,
        "seed": seed,
        "code": project_code(),
        "data": data,
        "environment": {
            "lightning-r2p": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "lock": hashlib.sha256(_LOCK.read_bytes()).hexdigest() if _LOCK.exists() else None,
            **{package: _version(package) for package in _PACKAGES},
        },
    }


def project_code() -> dict[str, str | None]:
    """Commit of this project's checkout and sha256 of its uncommitted changes; None each where there is none."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty_diff": None}
    diff = _git("diff", "HEAD") or b""
    names = (_git("ls-files", "--others", "--exclude-standard", "-z") or b"").split(b"\0")
    new = [path for name in names if name and (path := _ROOT / os.fsdecode(name)).is_file()]
    digest = hashlib.sha256(diff)
    for path in new:
        digest.update(os.fsencode(path))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return {"commit": commit.decode(), "dirty_diff": digest.hexdigest() if diff or new else None}


def _git(*words: str) -> bytes | None:
    try:
        answer = subprocess.run(["git", "-C", str(_ROOT), *words], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
