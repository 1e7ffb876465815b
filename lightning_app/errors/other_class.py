"""Another class of the same kind, where the chosen one lacks an option."""

import inspect
from importlib import import_module


def other_class(chosen: type, key: str) -> str:
    """Which class takes an option, and how to choose it; nothing where there is none.

    Args:
        chosen: The class that lacks it.
        key: The option in full, e.g. `data.series.path`.
    """
    owner, _, option = key.rpartition(".")
    kinds = [kind for kind in getattr(chosen, "__mro__", ())[1:] if inspect.isabstract(kind)]
    for package in ("datamodules", "models"):
        module = import_module(package)
        for name in module.__all__:
            other = getattr(module, name)
            if other is chosen or not isinstance(other, type) or not any(issubclass(other, kind) for kind in kinds):
                continue
            if option in inspect.signature(other).parameters:
                return (
                    f"; {name} takes {option}: name the class too, --{owner}={name} --{owner}.{option}=..., or "
                    f"{owner.rpartition('.')[2]}: {{class_path: {name}, init_args: {{{option}: ...}}}} in a config"
                )
    return ""
