"""Training data check: compares files, data fingerprint and own code of a trained run with those of this command."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.config.config_changes import config_changes
from lightning_app.config.config_paths import data_files
from lightning_app.config.own_code import changed_modules, describe_own_code
from lightning_app.errors import UsageError
from lightning_app.runs.lineage import framework_checkout, framework_of
from lightning_app.runs.run_folder import RunFolder
from lightning_app.version import __version__

ALLOW = "--allow_changed_data"


class TrainedOn:
    """Differences between what a run was trained on and what this command uses.

    Args:
        run: Run folder; without a lineage there is nothing to compare.
        before: Config that the run was trained with.
        now: Resolved config of this command.
        fingerprint: Fingerprint of the data that this command reads.

    Attributes:
        data: Fingerprint of the training data; None if none was recorded.
        changed: Descriptions of data that changed although the config names the same data.
        remarks: Descriptions of differences that the user's options asked for.
        code: Files of own modules whose source has changed.
    """

    def __init__(
        self, run: RunFolder, *, before: Mapping[str, Any], now: Mapping[str, Any], fingerprint: Mapping[str, Any]
    ) -> None:
        recorded = run.read_lineage()
        self.data: dict[str, Any] | None = recorded.get("data") or None
        self.changed: list[str] = []
        self.remarks: list[str] = []
        self.code = changed_modules(recorded.get("own_code", {}), describe_own_code(now))
        if self.data is None:
            return
        files, current = recorded.get("files", {}), data_files(now)
        self.changed = [
            f"{path} (sha256 {files[path]['sha256'][:12]} then, {file['sha256'][:12]} now)"
            for path, file in current.items()
            if path in files and file != files[path]
        ]
        known = {file["sha256"] for file in files.values()}
        others = [path for path, file in current.items() if file["sha256"] not in known and path not in files]
        if not files:  # a run of an earlier version, or data that come from no user file
            others = []
        if others:
            self.remarks.append(f"data: {', '.join(others)}, trained on {', '.join(files)}")
        parts = _differences(self.data, json.loads(json.dumps(fingerprint, default=str)))
        if self.changed or others or not parts:
            return
        description = f"the data as read: {', '.join(parts)}"
        if any(not key.startswith("model.") for key in config_changes(before, now)):
            self.remarks.append(description)  # the user changed an option of the data, or the seed
        elif _same_software(recorded):
            self.changed.append(description)
        else:
            self.remarks.append(f"{description}; maybe because another version of the software reads it")

    def check(self, *, verb: str, allowed: bool) -> list[str]:
        """Refuses changed data.

        Args:
            verb: Verb of this command; `predict` accepts new rows.
            allowed: Whether the user accepts changed data.

        Returns:
            Differences to report, in words.

        Raises:
            UsageError: The data have changed, and the user did not allow it.
        """
        # `predict` is meant to run on new rows of the same file.
        if self.changed and not (allowed or verb == "predict"):
            raise UsageError(
                f"data: changed since the run was trained: {'; '.join(self.changed)}. Restore it, name other data with "
                f"an option of the data, or give {ALLOW} if that is meant"
            )
        differences = [f"data: changed since the run was trained: {changed}" for changed in self.changed] + self.remarks
        return differences + [f"code: {file} has changed since the run was trained" for file in self.code]


def _differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Differences between two fingerprints, by key."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in before if name in now]
        return [part for name in names for part in _differences(before[name], now[name], f"{key} {name}".strip())]
    if before == now:
        return []
    short = [str(value)[:12] if len(str(value)) == 64 else str(value) for value in (before, now)]
    return [f"{key} {short[0]} then, {short[1]} now"]


def _same_software(recorded: Mapping[str, Any]) -> bool:
    framework = framework_of(recorded)
    return framework["version"] == __version__ and framework["commit"] == framework_checkout()["commit"]


def training_files(config: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that a lineage records besides the fingerprint: data files, own code and working folder."""
    return {"files": data_files(config), "own_code": describe_own_code(config), "folder": str(Path.cwd())}
