"""Package provenance in words: commits of the user's repository and of this framework."""

from collections.abc import Mapping
from typing import Any


def repository_text(lineage: Mapping[str, Any]) -> str:
    """Commit of the repository that the run was started in.

    Args:
        lineage: Lineage of a manifest.
    """
    repository = lineage.get("repository")
    if repository is None:
        return "none recorded"
    return _commit(repository["commit"], changed=repository.get("patch_sha256"))


def framework_text(lineage: Mapping[str, Any]) -> str:
    """Version of lightning-r2p and, if it ran from a checkout, its commit.

    Args:
        lineage: Lineage of a manifest; old ones have the commit at the top level and the version in `versions`.
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
