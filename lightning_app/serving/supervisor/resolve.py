"""Resolving child: finds versions in the registry, downloads and verifies their packages, and prints JSON.

A process of its own, because MLflow costs seconds of CPU to import and 200 MB. It is not imported if the local copy of
the registry is up to date.
"""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from lightning_app.errors import describe, exit_code

if TYPE_CHECKING:
    from lightning_app.registry import Registry


class Question(Struct, frozen=True, kw_only=True):
    """What the child is asked.

    Attributes:
        registry: Address of the registry; None takes `$MLFLOW_TRACKING_URI`.
        references: `NAME@champion`, `NAME@3` or `NAME`; with trusted keys also folders.
        verify: References whose packages are also loaded, and their golden requests replayed.
        trusted_keys: Public keys, one of which has to have signed each package; none accepts any package.
    """

    registry: str | None
    references: list[str]
    verify: bool
    trusted_keys: list[str] = []


class Resolution(Struct, frozen=True, kw_only=True):
    """What a reference stands for, or why that cannot be said.

    Attributes:
        reference: As asked.
        name: Name of the model.
        version: Number of the version.
        digest: sha256 of the manifest.
        path: Folder of the package.
        error: Why it failed, in one line; None if it did not.
        code: Exit code of the failure: 2 if the user can correct it.
        unreachable: Whether the registry did not answer.
        absent: Whether no version has the alias.
        notes: What was logged on the way.
    """

    reference: str
    name: str = ""
    version: int | None = None
    digest: str = ""
    path: str = ""
    error: str | None = None
    code: int = 0
    unreachable: bool = False
    absent: bool = False
    notes: list[str] = []


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def answer(question: Question) -> list[Resolution]:
    """Resolves references.

    Args:
        question: What is asked.
    """
    from lightning_app.registry import Registry

    notes = _Notes()
    logging.getLogger("lightning_app.registry").addHandler(notes)
    try:
        registry = Registry(question.registry)
    except ValueError as error:
        return [_failure(reference, error, []) for reference in question.references]
    resolutions = []
    for reference in question.references:
        notes.lines = []
        try:
            found = _resolve(registry, reference, question)
            resolutions.append(msgspec.structs.replace(found, notes=notes.lines))
        except Exception as error:
            resolutions.append(_failure(reference, error, notes.lines))
    return resolutions


def _resolve(registry: "Registry", reference: str, question: Question) -> Resolution:
    from lightning_app.registry import RegistryUnreachableError

    keys = [Path(key) for key in question.trusted_keys]
    if (Path(reference) / "manifest.json").is_file():  # a folder: it is asked about for its signature alone
        from lightning_app.packaging.format.package_signature import verify_signature

        return Resolution(reference=reference, digest=verify_signature(reference, keys).digest)
    resolved = None
    with suppress(RegistryUnreachableError):  # then `resolve` goes by what was known
        resolved = registry.resolve_unchanged(reference)
    if resolved is None:
        resolved = registry.resolve(reference)
    found = Resolution(
        reference=reference,
        name=resolved.name,
        version=resolved.version,
        digest=resolved.digest or "",
        path=str(resolved.path),
    )
    try:
        if keys:
            registry.verify_signature(resolved, keys)
        if question.verify:
            from lightning_app.packaging.runtime.package import Package

            Package.load(resolved.path)
    except Exception as error:
        return msgspec.structs.replace(found, error=describe(error), code=exit_code(error))
    return found


def _failure(reference: str, error: Exception, notes: list[str]) -> Resolution:
    from lightning_app.registry import RegistryUnreachableError
    from lightning_app.registry.storage.errors import UnknownAliasError

    unreachable = isinstance(error, RegistryUnreachableError)
    return Resolution(
        reference=reference,
        error=str(error) if unreachable else describe(error),
        code=exit_code(error),
        unreachable=unreachable,
        absent=isinstance(error, UnknownAliasError),
        notes=notes,
    )


def main() -> None:
    """Reads a question from standard input, and writes the answer to standard output."""
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    with os.fdopen(output, "wb") as stream:
        stream.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
