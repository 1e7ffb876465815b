"""Identity of the current user: `user@host`, recorded with promotions, registered versions and output locks."""

import getpass
import os
import platform


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the user id of a container may have no entry in /etc/passwd
        return str(os.getuid())


USER_AT_HOST = f"{_user()}@{platform.node() or 'unknown'}"
"""User name and host name of this process."""
