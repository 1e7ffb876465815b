"""User's git repository: its commit, and a patch that restores uncommitted changes."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

PATCH = "code.patch"
_SOURCES = (".py", ".yaml", ".yml", ".toml", ".cfg", ".sql", ".sh", ".ipynb")
_MOST_BYTES = 5_000_000
_MOST_NEW_FILES = 100
_SECONDS = 10
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--binary")
"""Without external diff programs and text converters, whose output cannot be applied as a patch."""


def describe_repository(folder: Path, run: Path | None) -> dict[str, Any] | None:
    """Describes the repository that a folder belongs to, and writes `code.patch` into the run folder.

    `git apply code.patch` on the commit restores changed files and new source files. New files that are no source code,
    and a patch that is too large, are listed in `left_out`.

    Args:
        folder: Working folder.
        run: Run folder; None writes no patch.

    Returns:
        `path`, `commit`, `patch` (sha256; None if nothing differs or the patch is too large) and `left_out`; None
        outside a repository with a commit.
    """
    top, commit = _git(folder, "rev-parse", "--show-toplevel"), _git(folder, "rev-parse", "HEAD")
    if top is None or commit is None:
        return None
    root = Path(os.fsdecode(top.strip()))
    changes = _git(root, *_DIFF, "HEAD")
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    unread = [what for what, read in (("changed files", changes), ("new files", untracked)) if read is None]
    patch, listed = changes or b"", untracked or b""
    new = [os.fsdecode(name) for name in listed.split(b"\0") if name and not (root / os.fsdecode(name)).is_dir()]
    taken = [name for name in new if _is_source(root / name)][:_MOST_NEW_FILES]
    for name in taken:
        patch += _git(root, *_DIFF, "--no-index", "--", os.devnull, name, codes=(0, 1)) or b""
    left_out = [name for name in new if name not in taken][:_MOST_NEW_FILES]
    left_out += [f"{what}: git failed, or took more than {_SECONDS} seconds" for what in unread]
    if len(patch) > _MOST_BYTES:
        left_out = [f"{PATCH}: {len(patch):,} bytes, more than {_MOST_BYTES:,}", *left_out]
        patch = b""
    if patch and run is not None:
        (run / PATCH).write_bytes(patch)
    return {
        "path": str(root),
        "commit": commit.decode().strip(),
        "patch": hashlib.sha256(patch).hexdigest() if patch else None,
        "left_out": left_out,
    }


def _is_source(path: Path) -> bool:
    return path.suffix in _SOURCES and path.is_file() and path.stat().st_size <= _MOST_BYTES // 10


def _git(folder: Path, *words: str, codes: tuple[int, ...] = (0,)) -> bytes | None:
    # No fsmonitor hook: reading a repository must not execute programs that its config names.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout if answer.returncode in codes else None
