"""Resolving of configured models: folders at once, names of the registry in a child process."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from lightning_app.errors import UsageError
from lightning_app.serving.config.arm_references import ArmReference, arm_references
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import RouteName, ServeConfig
from lightning_app.serving.supervisor.child import command_of, environment
from lightning_app.serving.supervisor.resolve import Question, Resolution

_MANIFEST = "manifest.json"


class Unresolved(Struct, frozen=True, kw_only=True):
    """A package that could not be resolved.

    Attributes:
        arm: Arm that it was to answer as.
        version: Number of the version, where it is known.
        error: Why, in one line.
        code: 2 if the user can correct it, else 1.
        unreachable: Whether the registry did not answer.
    """

    arm: ArmReference
    version: int | None
    error: str
    code: int
    unreachable: bool = False


Entry = ResolvedModel | Unresolved
Resolved = tuple[list[list[Entry]], list[str]]
"""For each configured model, in their order, its packages, its own first; and what is to be said of them."""


def is_folder(model: str) -> bool:
    """Whether a model is the folder of a package, as the registry decides it.

    Args:
        model: `NAME@champion`, `NAME@3`, `NAME`, or a folder.
    """
    return (Path(model) / _MANIFEST).is_file()


async def resolve_models(config: ServeConfig, *, verify: bool) -> Resolved:
    """Finds the packages of all models; optional ones whose alias does not exist are left out.

    Args:
        config: Configuration.
        verify: Load the packages of registered models in the child first, so that a bad one reaches no worker.
    """
    references = dict.fromkeys(arm.model for model in config.models for arm in arm_references(model))
    names = [reference for reference in references if config.trusted_keys or not _looks_like_folder(reference)]
    answers: dict[str, Resolution] = {}
    if names:
        answers = await _ask_child(
            Question(registry=config.registry, references=names, verify=verify, trusted_keys=config.trusted_keys)
        )
    groups: list[list[Entry]] = []
    for model in config.models:
        group: list[Entry] = []
        name = model.name
        for arm in arm_references(model):
            answer = answers.get(arm.model)
            if arm.is_optional and answer is not None and answer.absent:
                continue
            entry = _entry(arm, answer, name)
            if isinstance(entry, ResolvedModel):
                name = name or entry.name  # all arms answer under the name of the first
            group.append(entry)
        groups.append(group)
    notes = dict.fromkeys(note for answer in answers.values() for note in answer.notes)
    return groups, list(notes)


def check_names(models: Sequence[ResolvedModel]) -> None:
    """Raises unless each model has a name of its own.

    Args:
        models: The own package of each model.

    Raises:
        UsageError: Two have the same name.
    """
    by_name: dict[str, ResolvedModel] = {}
    for model in models:
        if (other := by_name.setdefault(model.name, model)) is not model:
            raise UsageError(
                f"name: {other.reference} and {model.reference} would both be served as {model.name!r}; "
                "set `name` of one of them in a config file"
            )


def _looks_like_folder(model: str) -> bool:
    return is_folder(model) or "/" in model or Path(model).is_dir()


def _entry(arm: ArmReference, answer: Resolution | None, name: str | None) -> Entry:
    try:
        if _looks_like_folder(arm.model):
            return _of_folder(arm, answer, name)
        assert answer is not None, "every name was asked for"
        return _of_registry(arm, answer, name)
    except UsageError as error:
        return Unresolved(arm=arm, version=None, error=str(error), code=2)


def _of_folder(arm: ArmReference, signed: Resolution | None, name: str | None) -> Entry:
    """A folder, and the verification of its signature, None if no key is trusted."""
    folder = Path(arm.model).resolve()
    try:
        raw = (folder / _MANIFEST).read_bytes()
        own = json.loads(raw)["name"]
    except OSError as error:
        reason = "does not exist" if not folder.exists() else f"has no {_MANIFEST}, so it is no package"
        raise UsageError(f"model: {arm.model} {reason}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"model: {arm.model}: its {_MANIFEST} is damaged: {error}") from error
    digest = hashlib.sha256(raw).hexdigest()
    if signed is not None and signed.error is not None:
        return Unresolved(arm=arm, version=None, error=signed.error, code=signed.code)
    if signed is not None and signed.digest != digest:
        raise UsageError(f"model: {arm.model} was replaced while its signature was verified")
    return ResolvedModel(
        name=_route_name(arm, name or str(own)),
        reference=arm.model,
        version=None,
        digest=digest,
        path=str(folder),
        arm=arm.arm,
    )


def _of_registry(arm: ArmReference, found: Resolution, name: str | None) -> Entry:
    if found.error is not None:
        return Unresolved(
            arm=arm, version=found.version, error=found.error, code=found.code, unreachable=found.unreachable
        )
    return ResolvedModel(
        name=_route_name(arm, name or found.name),
        reference=arm.model,
        version=found.version,
        digest=found.digest,
        path=found.path,
        arm=arm.arm,
    )


def _route_name(arm: ArmReference, name: str) -> str:
    try:
        return msgspec.convert(name, RouteName)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"name: {arm.model} is called {name!r}, which no address can hold; set --name: up to 200 letters, "
            "digits, '_', '-' and '.'"
        ) from error


async def _ask_child(question: Question) -> dict[str, Resolution]:
    process = await asyncio.create_subprocess_exec(
        *command_of("lightning_app.serving.supervisor.resolve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment({}),
        start_new_session=True,  # Ctrl-C is for the supervisor
    )
    try:
        output, _ = await process.communicate(msgspec.json.encode(question))
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    try:
        answers = msgspec.json.decode(output, type=list[Resolution])
    except msgspec.DecodeError:
        error = f"the process that asks the registry ended with exit code {process.returncode}"
        answers = [Resolution(reference=name, error=error, code=1) for name in question.references]
    return {answer.reference: answer for answer in answers}
