"""Class suggestion: a sibling class that has the option which the chosen class lacks."""

import inspect
from importlib import import_module


def other_class(chosen: type, key: str) -> str:
    """Names a class of the same abstract base that accepts an option, and how to select it.

    Args:
        chosen: Class that lacks the option.
        key: Full key of the option, e.g. `data.series.path`.

    Returns:
        A clause that starts with `; `, or an empty string if there is no such class.
    """
    owner, _, option = key.rpartition(".")
    kinds = [kind for kind in getattr(chosen, "__mro__", ())[1:] if inspect.isabstract(kind)]
    found: list[str] = []
    for package in ("datamodules", "models"):
        module = import_module(package)
        for name in module.__all__:
            other = getattr(module, name)
            if other is chosen or not isinstance(other, type) or not any(issubclass(other, kind) for kind in kinds):
                continue
            if option in inspect.signature(other).parameters:
                found.append(name)
    if not found:
        return ""
    name = min(found, key=len)  # TableFile before LongTableFile: the plain class before its variants
    return (
        f"; {name} takes {option}: name the class too, --{owner}={name} --{owner}.{option}=..., or "
        f"{owner.rpartition('.')[2]}: {{class_path: {name}, init_args: {{{option}: ...}}}} in a config"
    )
