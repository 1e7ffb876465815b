"""Value of a resolved config at a dotted key, written as in search spaces."""

from collections.abc import Mapping, Sequence
from typing import Any


def lookup(config: Any, path: Sequence[str]) -> Any:
    """The value of a dotted key in a resolved config, with or without `init_args` in it; None where it is not there.

    Args:
        config: Plain data.
        path: The key's parts.
    """
    for name in path:
        if isinstance(config, Mapping) and name not in config and isinstance(config.get("init_args"), Mapping):
            config = config["init_args"]  # the command line may leave it out
        if not isinstance(config, Mapping) or name not in config:
            return None
        config = config[name]
    return config.get("class_path") if isinstance(config, Mapping) and "class_path" in config else config
