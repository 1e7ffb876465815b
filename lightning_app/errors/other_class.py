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
    found: dict[str, list[str]] = {}
    for package in ("datamodules", "models"):
        module = import_module(package)
        for name in module.__all__:
            other = getattr(module, name)
            if other is chosen or not isinstance(other, type) or not any(issubclass(other, kind) for kind in kinds):
                continue
            parameters = inspect.signature(other).parameters
            if option in parameters:
                needed = [each.name for each in parameters.values() if each.default is inspect.Parameter.empty]
                found[name] = list(dict.fromkeys([option, *needed]))
    if not found:
        return ""
    name = min(found, key=len)  # TableFile before LongTableFile: the plain class before its variants
    words = " ".join(f"--{owner}.{argument}=..." for argument in found[name])
    arguments = ", ".join(f"{argument}: ..." for argument in found[name])
    section = f"{{class_path: {name}, init_args: {{{arguments}}}}}"
    for level in reversed(owner.split(".")[1:]):
        section = f"{{init_args: {{{level}: {section}}}}}"
    return (
        f"; {name} takes {option}: name the class and what it needs, --{owner}={name} {words}, or in a config that "
        f"follows as a second -c, {owner.partition('.')[0]}: {section}"
    )
