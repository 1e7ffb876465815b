"""Provenance of a package for people: the commits of the user's repository and of this framework."""

from collections.abc import Mapping
from typing import Any


def repository_text(lineage: Mapping[str, Any]) -> str:
    """The commit of the repository that the run started in.

    Args:
        lineage: Of a manifest.
    """
    repository = lineage.get("repository")
    if repository is None:
        return "none recorded"
    return _commit(repository["commit"], changed=repository.get("patch_sha256"))


def framework_text(lineage: Mapping[str, Any]) -> str:
    """The version of lightning-r2p and, from a checkout, its commit.

    Args:
        lineage: Of a manifest; older ones have the commit at the top and the version among `versions`.
    """
    older = {
        "version": lineage.get("versions", {}).get("lightning-r2p"),
        "commit": lineage.get("commit"),
        "dirty_diff": lineage.get("dirty_diff_sha256"),
    }
    framework = lineage.get("framework") or older
    version = framework["version"] or "unknown version"
    if framework["commit"] is None:
        return str(version)
    return f"{version}, {_commit(framework['commit'], changed=framework['dirty_diff'])}"


def _commit(commit: str, *, changed: str | None) -> str:
    return f"commit {commit}" + (" with uncommitted changes" if changed else "")
