"""Errors of the journal, and addresses without passwords for messages."""

import re
from typing import Literal

_PASSWORD = re.compile(r"(?<=://)([^/@]*):([^/]*)@")
_IN_QUERY = re.compile(r"(?i)([?&]password=)[^&]*")


class JournalError(RuntimeError):
    """The journal cannot be read or written now; the same call may work later."""


class JournalBusyError(JournalError):
    """Another process is writing, and the caller does not wait."""


class JournalAccessError(JournalError):
    """The file of a journal is no database, or may not be written by this user."""


class JournalRecordError(ValueError):
    """A record that the journal can never hold, e.g. a text with a NUL character in PostgreSQL."""


class JournalIdError(Exception):
    """The journal holds a prediction of this id already."""


class RefusedOutcomeError(JournalRecordError):
    """An outcome that is not stored, because its prediction says that it cannot be right.

    Args:
        message: What was given, and what is allowed.
        field: Field of the feedback.
        status: Why it is refused.
    """

    def __init__(self, message: str, *, field: str, status: Literal["out_of_range", "no_such_row"]) -> None:
        super().__init__(message)
        self.field = field
        self.status: Literal["out_of_range", "no_such_row"] = status


class JournalDownError(JournalError):
    """The journal is down, and so is its spill file if there is one: what was to be written is not."""


def without_password(url: str) -> str:
    """The address with its password replaced.

    Args:
        url: Address of a journal.
    """
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
