"""Config values formatted as command-line values."""

from typing import Any

import yaml


def cli_value(value: Any) -> str:
    """A value as a command line takes it."""
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
