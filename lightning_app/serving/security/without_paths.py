"""Texts without paths: error messages for clients, which name no folder of the server."""

import re

_PATH = re.compile(r"(?:(?<=^)|(?<=[\s'\"(=:,\[]))/(?:[^\s'\"/:;,)\]]+/)*([^\s'\"/:;,)\]]+)")


def without_paths(text: str) -> str:
    """A text whose absolute paths are cut to their last part.

    Args:
        text: Message of an error.
    """
    return _PATH.sub(r"\1", text)
