"""Failed component: names the class in a config whose constructor raised, where the message names no config key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lightning_app.errors.error_chain import causes

_KEY = re.compile(r"[A-Za-z_][\w.]*: ")


def with_failed_part(message: str, error: BaseException, config: Mapping[str, Any]) -> str:
    """Prefixes a constructor's error message with the config key and class that it belongs to.

    Args:
        message: Message of the constructor, e.g. torch's `embed_dim must be divisible by num_heads`.
        error: The exception, with its causes.
        config: Resolved config as plain data, with the class paths of all components.

    Returns:
        `model.network: PhaseTransformer: embed_dim must be ...`; the message unchanged if it already names a key.
    """
    if _KEY.match(message):
        return message
    keys = {path.rpartition(".")[2]: key for key, path in _parts(config)}
    made = [name for name in _constructed(error) if name in keys]
    return f"{keys[made[-1]]}: {made[-1]}: {message}" if made else message


def _parts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield key, value["class_path"]
        for name, inner in value.items():
            yield from _parts(inner, key if name in ("init_args", "dict_kwargs") else f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner, key)


def _constructed(error: BaseException) -> list[str]:
    """Classes whose constructors were running when the root cause was raised, outermost first."""
    *_, first = causes(error, implicit=False)
    names, traceback = [], first.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == "__init__":
            names.append(type(frame.f_locals.get("self")).__name__)
        traceback = traceback.tb_next
    return names
