"""Network arguments: which constructor arguments of a model take an `nn.Module`."""

import inspect
from typing import Any, get_args

from torch import nn


def network_arguments(model_class: type[Any] | None) -> tuple[str, ...]:
    """Names of the arguments that are typed as an `nn.Module`, or as one or None, in the order of the signature.

    Args:
        model_class: Class of a model; arguments that it hands on as `**kwargs` are those of its bases.
    """
    found: dict[str, None] = {}
    for kind in model_class.__mro__ if inspect.isclass(model_class) else ():
        if "__init__" not in vars(kind):
            continue
        try:
            parameters = inspect.signature(kind, eval_str=True).parameters.values()
        except (NameError, TypeError, ValueError):  # annotations that cannot be evaluated, or no signature
            break
        found |= {parameter.name: None for parameter in parameters if _is_module(parameter.annotation)}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return tuple(found)


def _is_module(hint: Any) -> bool:
    choices = get_args(hint) if type(None) in get_args(hint) else (hint,)
    return any(inspect.isclass(choice) and issubclass(choice, nn.Module) for choice in choices)
