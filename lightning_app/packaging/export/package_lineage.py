"""What the model in a package was made from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning_app.runs.lineage import describe_lineage, framework_of
from lightning_app.runs.repository import describe_repository
from lightning_app.runs.run_folder import RunFolder

_VERSIONS = (
    "lightning-r2p", "python", "torch", "lightning", "torchmetrics", "numpy", "polars", "tokenizers", "transformers",
)  # fmt: skip


def package_lineage(
    *,
    run: RunFolder | None,
    checkpoint: Path | None,
    config: bytes,
    data: dict[str, Any],
    seed: int | None,
    members: Iterable[str],
    differences: Sequence[str] = (),
) -> dict[str, Any]:
    """Repository, framework, config, data, environment and parents, as plain data.

    `data_versions` names the snapshots and the versions of Delta tables that the run read. `repository` is the git
    repository that the user's run started in, None outside one; `framework` is this project.

    Args:
        run: The folder that the checkpoint lies in; None describes code and environment of the export instead.
        checkpoint: What is exported; None for a module of a Python program.
        config: `config.yaml` of the package.
        data: Fingerprint of the data that the package was tested on; it becomes `evaluation_data`, beside `data`,
            what the run was trained on, which is the same where the run recorded none.
        seed: Of the run.
        members: Checkpoints that the model is made of, beside its own.
        differences: What is not as it was when the run was trained, in words.
    """
    recorded = {} if run is None else run.read_lineage()
    known = recorded or {
        **describe_lineage(seed=seed, data=data, parent=None),
        "repository": describe_repository(Path.cwd(), None),
    }
    environment, framework, repository = known["environment"], framework_of(known), known.get("repository")
    parents: list[dict[str, Any]] = [{"kind": "object"}]
    if checkpoint is not None:
        parents = [{"kind": "checkpoint", "file": checkpoint.name, "sha256": file_sha256(checkpoint)}]
    if run is not None:
        parents.append({"kind": "run", "name": run.name, "id": run.path.name})
    parents += [{"kind": "member", "file": Path(path).name, "sha256": file_sha256(Path(path))} for path in members]
    if known.get("parent"):
        parents.append({"kind": "continued", "file": Path(known["parent"]).name})
    return {
        "repository": repository and {"commit": repository["commit"], "patch_sha256": repository["patch"]},
        "framework": framework,
        "config_sha256": hashlib.sha256(config).hexdigest(),
        "data": recorded.get("data") or data,
        "evaluation_data": data,
        "data_versions": _data_versions(recorded.get("files", {})),
        "differences": list(differences),
        "own_code": {name: code["sha256"] for name, code in recorded.get("own_code", {}).items()},
        "seeds": [known.get("seed")],
        "lock_sha256": environment.get("lock"),
        "versions": {name: environment.get(name) for name in _VERSIONS},
        "platform": environment.get("platform"),
        "parents": parents,
        "trained": known.get("created") if recorded else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _data_versions(files: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Snapshots and versions of Delta tables among the files of a run; no paths of the machine."""
    versions = []
    for path, file in files.items():
        if known := {key: file[key] for key in ("snapshot", "delta_version") if key in file}:
            name = path if "snapshot" in known else Path(path).name
            versions.append({"name": name, **known, "sha256": file["sha256"]})
    return versions


def file_sha256(path: Path) -> str:
    """Digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
