"""Who does something, and on which machine."""

import getpass
import platform


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a name for its user
        return "unknown"


WHO = f"{_user()}@{platform.node() or 'unknown'}"
"""As the journal names people."""
