"""What a run was trained on, compared with what it is used on now: files, fingerprint of the data, own code."""

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
    """The record of a run, and how what is at hand now differs from it.

    Args:
        run: The run folder; one without a lineage differs from nothing.
        before: The config that it was trained with.
        now: The resolved config of this command.
        fingerprint: Of the data that this command reads.

    Attributes:
        data: Fingerprint of the training data; None where none was recorded.
        changed: What is under the same name and not the same any more, in words.
        remarks: What else differs, as it was asked to, in words.
        code: Own modules whose source has changed.
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
        if not files:  # a run of an earlier version, or data that no file of the user holds
            others = []
        if others:
            self.remarks.append(f"data: {', '.join(others)}, trained on {', '.join(files)}")
        parts = _differences(self.data, json.loads(json.dumps(fingerprint, default=str)))
        if self.changed or others or not parts:
            return
        said = f"the data as read: {', '.join(parts)}"
        if any(not key.startswith("model.") for key in config_changes(before, now)):
            self.remarks.append(said)  # another option of the data or seed was asked for
        elif _same_software(recorded):
            self.changed.append(said)
        else:
            self.remarks.append(f"{said}; maybe because another version of the software reads it")

    def check(self, *, verb: str, allowed: bool) -> list[str]:
        """Refuses changed data, and returns what is to be told of the rest.

        Args:
            verb: What is done with the run.
            allowed: The user has said that changed data are meant.

        Raises:
            UsageError: Something is not what the run was trained on, and nobody asked for that.
        """
        # New rows in the same file are what a forecast is made from.
        if self.changed and not (allowed or verb == "predict"):
            raise UsageError(
                f"data: changed since the run was trained: {'; '.join(self.changed)}. Restore it, name other data with "
                f"an option of the data, or give {ALLOW} if that is meant"
            )
        said = [f"data: changed since the run was trained: {changed}" for changed in self.changed] + self.remarks
        return said + [f"code: {file} has changed since the run was trained" for file in self.code]


def _differences(before: Any, now: Any, key: str = "") -> list[str]:
    """What differs between two fingerprints, by name."""
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
    """What a lineage records beside the fingerprint: data files, own code, and the working folder."""
    return {"files": data_files(config), "own_code": describe_own_code(config), "folder": str(Path.cwd())}
