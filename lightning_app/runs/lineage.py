"""Lineage of a run: the framework, data, environment and parent checkpoint that produced it."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lightning_app.module_search import ROOT
from lightning_app.version import __version__

_PACKAGES = (
    "torch", "lightning", "torchmetrics", "jsonargparse", "wandb", "numpy", "polars", "tokenizers", "transformers",
)  # fmt: skip
_LOCK = ROOT / "requirements.lock"


def describe_lineage(*, seed: int | None, data: dict[str, Any], parent: str | None) -> dict[str, Any]:
    """Collects framework, data, environment and parent of a run.

    Args:
        seed: Random seed of the run.
        data: Fingerprint of the data, see `BaseDataModule.fingerprint`.
        parent: Checkpoint that the run continues, or None.

    Returns:
        Plain data, ready for JSON. `framework` is this project, not the user's code: its version and, if it runs from a
        git checkout, its commit and the sha256 of its uncommitted changes (`dirty_diff`, None without any).
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": sys.argv,
        "parent": parent,
        "seed": seed,
        "framework": {"name": "lightning-r2p", "version": __version__, **framework_checkout()},
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


def framework_of(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the framework's `version`, `commit` and `dirty_diff` from a lineage; None for each that is unknown.

    Args:
        lineage: Lineage of a run; earlier versions recorded the same facts as `code`.
    """
    recorded = lineage.get("environment", {}).get("lightning-r2p")
    known = {"version": recorded, **lineage.get("code", {}), **lineage.get("framework", {})}
    return {key: known.get(key) for key in ("version", "commit", "dirty_diff")}


def framework_checkout() -> dict[str, str | None]:
    """Commit of this project's git checkout and sha256 of its uncommitted changes; both None outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty_diff": None}
    diff = _git("diff", "HEAD") or b""
    names = (_git("ls-files", "--others", "--exclude-standard", "-z") or b"").split(b"\0")
    new = [path for name in names if name and (path := ROOT / os.fsdecode(name)).is_file()]
    digest = hashlib.sha256(diff)
    for path in new:
        digest.update(os.fsencode(path))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return {"commit": commit.decode(), "dirty_diff": digest.hexdigest() if diff or new else None}


def _git(*words: str) -> bytes | None:
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
