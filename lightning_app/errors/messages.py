"""Error messages: exceptions and parser errors as one line, and exit codes."""

import difflib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable
from importlib import import_module

from lightning_app.errors.bare_word import advice_on_bare_word
from lightning_app.errors.full_disk import describe_full_disk
from lightning_app.errors.other_class import other_class
from lightning_app.errors.wrong_value import wrong_value
from lightning_app.module_search import advice_on_ambiguous

_KEY = re.compile(r"""(?:Parser key|Validation failed: Parser key|Key) ["']([^"']+)["']""")
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_UNKNOWN_OPTION = re.compile(
    r"""(?:Option|Key|key) ["']([^"']+)["'] is not (?:accepted|expected)|unrecognized arguments: (\S+)"""
    r"""|does not accept option ["']([^"']+)["']"""
)
_FACTORY = re.compile(r"^\s*-?\s*Type .* expects a function or a callable class: ")
_FACTORY_CLASS = re.compile(r"Got value: Namespace\(class_path='([\w.]+)'")
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_PASSED_TO_FACTORIES = ("params", "optimizer")
"""First arguments of optimizers and schedulers, which the framework passes and no config sets."""
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: (\S+)|No module named '([^']+)'")
_NOT_IN_MODULE = re.compile(
    r"module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'"
    r"|cannot import name '(?P<imported>[^']+)' from '(?P<source>[^']+)'"
)
_LIBRARIES = (
    "torch.optim", "torch.optim.lr_scheduler", "lightning.pytorch.callbacks", "lightning.pytorch.loggers",
)  # fmt: skip
"""Modules whose classes can be named without a path."""
OF_THE_MODEL = {
    "optimizer": "an optimizer is an argument of the model: model.optimizer",
    "lr_scheduler": "a scheduler is an argument of the model: model.scheduler",
}
"""Options that LightningCLI has beside the model, and which this application has inside it."""
_NOISE = (
    "- Expected a path but",
    "Given value",
    "Subtypes:",
    "Errors:",
    "Does not validate",
    "- Expected a <class 'NoneType'>",
    "Problem with",
    "Subclass types expect one of",
    "- a class path (str)",
    "- a dict with",
)


class UsageError(ValueError):
    """Invalid command line or config."""


def exit_code(error: BaseException) -> int:
    """Exit code of an exception: 2 if the user can correct the command, config or data, else 1."""
    return 2 if _is_usage(error) else 1


def describe(error: BaseException) -> str:
    """Describes an exception in one line."""
    if (full := describe_full_disk(error)) is not None:
        return full
    text = " ".join(str(error).split())
    return text if _is_usage(error) and text else f"{type(error).__name__}: {text}"


def _is_usage(error: BaseException) -> bool:
    # Lightning raises MisconfigurationException for impossible Trainer arguments. Compared by name: no import of torch.
    return isinstance(error, ValueError | FileNotFoundError) or type(error).__name__ == "MisconfigurationException"


def simplify(message: str, options: Iterable[str]) -> str:
    """Reduces a jsonargparse error to one line: full key, value, allowed values.

    jsonargparse reports a tree: for each type of a union, why the value does not fit. The deepest branch is the type
    that the user meant.

    Args:
        message: Message of jsonargparse.
        options: All options of the parser, e.g. `--trainer.max_epochs`.
    """
    branch = _deepest_branch(message)
    key = ".".join(match.group(1) for line in branch for match in _KEY.finditer(line))
    classes = [match.group(1) for line in branch for match in _CLASS.finditer(line)]
    if branch and _FACTORY.match(branch[-1]):
        classes += _FACTORY_CLASS.findall(branch[-1])
        branch[-1] = re.sub(r"\. Got value: Namespace\(.*", "", _FACTORY.sub("", branch[-1]))
    reason = re.sub(r"^\s*-\s*", "", _KEY.sub("", branch[-1])).strip(" :") if branch else " ".join(message.split())
    if unknown := _UNKNOWN_OPTION.search(branch[-1] if branch else message):
        given = next(group for group in unknown.groups() if group)
        name = given.split("=")[0]
        if unknown[2] and not given.startswith("-"):
            return f"{given}: {advice_on_bare_word(given)}"
        if not key and (advice := OF_THE_MODEL.get(name.lstrip("-").split(".")[0])):
            return f"{_join(key, name)}: no such option; {advice}"
        return f"{_join(key, name)}: no such option{_allowed_options(_join(key, name), classes, options)}"
    if unknown := _UNKNOWN_CLASS.search(branch[-1] if branch else message):
        name = next(group for group in unknown.groups() if group)
        return f"{key or 'class'}: {_unknown_class(name)}"
    if missing := _NOT_IN_MODULE.search(reason):
        module, name = missing["module"] or missing["source"], missing["name"] or missing["imported"]
        advice = advice_on_ambiguous(f"{module}.{name}")
        reason = f"{reason}; {advice}" if advice else reason
    if required := _REQUIRED.search(reason):
        if classes:
            return f"{key}: {classes[-1].rsplit('.', 1)[-1]} needs {required.group(1)}"
        names = [name.strip().partition(".")[2] or name.strip() for name in required.group(1).split(",")]
        return f"{names[0]}: none given; give a config file with -c, or --{names[0]}"
    reason = wrong_value(message, re.sub(r"\. Got value: Namespace\(.*", "", reason))
    return f"{key}: {reason}" if key else reason


def _deepest_branch(message: str) -> list[str]:
    """Lines from the root of the error tree down to its most indented reason, without boilerplate."""
    lines = [line for line in message.splitlines() if line.strip()]
    lines = [line for line in lines if not line.strip().startswith(_NOISE) or _CLASS.search(line)]
    if not lines:
        return []
    depths = [len(line) - len(line.lstrip(" -")) for line in lines]
    reasons = [index for index, line in enumerate(lines) if not line.rstrip().endswith(":")] or [len(lines) - 1]
    last = max(reasons, key=lambda index: depths[index])
    branch, depth = [lines[last]], depths[last]
    for index in range(last - 1, -1, -1):
        if depths[index] < depth:
            branch.insert(0, lines[index])
            depth = depths[index]
    return branch


def _join(key: str, name: str) -> str:
    return ".".join(part for part in (key, name.lstrip("-")) if part)


def _allowed_options(name: str, classes: list[str], options: Iterable[str]) -> str:
    if not classes:
        return f"{nearest(name.split('=')[0], options)}; --help lists what is allowed"
    module, class_name = classes[-1].rsplit(".", 1)
    kind = getattr(sys.modules.get(module), class_name, None)
    if kind is None:
        return f" of {class_name}"
    allowed = [parameter for parameter in inspect.signature(kind).parameters if parameter not in _PASSED_TO_FACTORIES]
    listed = f"allowed: {', '.join(allowed)}" if allowed else "it takes none"
    return f" of {class_name}{nearest(name.rsplit('.', 1)[-1], allowed)}; {listed}{other_class(kind, name)}"


def _unknown_class(name: str) -> str:
    known = [known for package in ("models", "datamodules", "callbacks") for known in import_module(package).__all__]
    if name in known:
        return f"{name} is not of the kind that is needed here"
    if name == "torch_geometric" or (name.startswith(("models.graph", "datamodules.graph")) and not _installed()):
        return "graphs need PyG, which is not installed: pip install 'lightning-r2p[graph]'"
    advice = advice_on_ambiguous(name) or "give the name of an imported class, or its full path package.module.Class"
    libraries = [sys.modules.get(package) for package in _LIBRARIES]
    theirs = [known for library in libraries for known in getattr(library, "__all__", ())]
    if name in theirs:
        return f"{name} is not of the kind that is needed here"
    return f"no class named {name!r}{nearest(name, [*known, *theirs])}; {advice}"


def _installed() -> bool:
    return importlib.util.find_spec("torch_geometric") is not None


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Suggests the closest allowed name.

    Args:
        name: Misspelled name.
        allowed: Allowed names.

    Returns:
        `, did you mean 'that'?`, or an empty string if nothing is close.
    """
    known = list(allowed)
    near = difflib.get_close_matches(name, known, n=1) or [word for word in known if name and word.startswith(name)]
    return f", did you mean {near[0]!r}?" if near else ""
