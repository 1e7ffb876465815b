"""Study inputs: digests of the data files and of the user's own code, recorded when the study starts."""

import sys
from collections.abc import Mapping
from typing import Any

import optuna

from lightning_app.config.config_paths import data_files
from lightning_app.config.own_code import changed_modules, describe_own_code
from lightning_app.errors import UsageError
from sweeps.space.search_space import SearchSpace

_ATTRIBUTE = "inputs"


def inputs_of(base: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Digests of data files and of own modules, including those of class choices.

    Args:
        base: The resolved config that is varied; its classes have been imported.
        space: The search space.
    """
    drawn = [choice for parameter in space.parameters if parameter.kind == "class" for choice in parameter.choices]
    classes = {"base": base, "drawn": [{"class_path": choice} for choice in drawn]}
    return {"files": data_files(base), "code": describe_own_code(classes)}


def check_inputs(study: optuna.Study, inputs: Mapping[str, Any], *, allow_changed_data: bool) -> None:
    """Refuses to resume a study whose data files have changed, and reports own code that has changed.

    Args:
        study: The study; its inputs are recorded if they are not yet.
        inputs: As `inputs_of` gives them.
        allow_changed_data: Accept changed data files.

    Raises:
        UsageError: A file has changed, so that trial values would not be comparable.
    """
    known = study.user_attrs.get(_ATTRIBUTE)
    if known is None:
        study.set_user_attr(_ATTRIBUTE, dict(inputs))
        return
    changed = [
        f"{path} (sha256 {known['files'][path]['sha256'][:12]} then, {file['sha256'][:12]} now)"
        for path, file in inputs["files"].items()
        if path in known["files"] and known["files"][path]["sha256"] != file["sha256"]
    ]
    if changed and not allow_changed_data:
        raise UsageError(
            f"data: changed since study {study.study_name!r} was begun: {'; '.join(changed)}. Restore it, give another "
            "--study, or --allow-changed-data if values of trials on both are to be compared"
        )
    for said in [f"data: {file}" for file in changed] + [
        f"code: {file}" for file in changed_modules(known["code"], inputs["code"])
    ]:
        print(  # noqa: T201
            f"warning: {said} has changed since the study was begun; values of its trials may not compare",
            file=sys.stderr,
        )
