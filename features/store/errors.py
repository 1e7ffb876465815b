"""Errors of online stores, and addresses without passwords for messages."""

import re

_PASSWORD = re.compile(r"(?<=://)([^/@]*):([^/]*)@")
_IN_QUERY = re.compile(r"(?i)([?&]password=)[^&]*")


class StoreError(RuntimeError):
    """A store that cannot be reached, or fails while it works."""


def without_password(url: str) -> str:
    """The address with its password replaced.

    Args:
        url: Address of a store.
    """
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
