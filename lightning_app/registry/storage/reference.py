"""Model references: `NAME@3`, `NAME@champion`, `NAME`."""

import re
from dataclasses import dataclass

from lightning_app.errors import UsageError

ALIASES = ("champion", "challenger", "shadow", "previous")
PROMOTABLE = ALIASES[:3]
"""Aliases that a promotion can set; `previous` is set automatically."""
WITHDRAWABLE = PROMOTABLE[1:]
"""Aliases that a withdrawal can remove."""
JOURNAL_SUFFIX = ".promotions"
"""Suffix of the registered model that holds a model's journal, see `promotion.journal`."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class ModelReference:
    """One version of a model, by number or by alias.

    Attributes:
        name: Name of the model.
        version: Number of the version, None if an alias is given.
        alias: One of `ALIASES`, None if a number is given.
    """

    name: str
    version: int | None
    alias: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.version if self.alias is None else self.alias}"


def read_reference(text: str) -> ModelReference:
    """Parses `NAME@3`, `NAME@champion`, or `NAME` for its champion.

    Args:
        text: Reference as a user writes it.

    Raises:
        UsageError: The reference has another form.
    """
    name, separator, at = text.partition("@")
    check_name(name)
    if not separator:
        return ModelReference(name, None, "champion")
    if at in ALIASES:
        return ModelReference(name, None, at)
    if at.isascii() and at.isdigit() and 0 < int(at) < 2**31:
        return ModelReference(name, int(at), None)
    raise UsageError(f"model: {text!r} given; after @ a version's number is needed, or one of {', '.join(ALIASES)}")


def check_name(name: str) -> None:
    """Raises unless a model can have this name.

    Args:
        name: Name of the model.

    Raises:
        UsageError: The name has other characters, or is reserved for journals.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"name: {name!r} given; a name has up to 200 letters, digits, '_', '-' and '.'")
    if name.endswith(JOURNAL_SUFFIX):
        raise UsageError(f"name: {name!r} given; names that end in {JOURNAL_SUFFIX!r} are kept for the journal")
