"""Trusted classes: what a config from a checkpoint, run folder or package may name.

Such a config is data. jsonargparse imports any module it names and calls any function it names where a class is
expected, so `optimizer: {class_path: os.system, ...}` in the hyper-parameters of a checkpoint would run.
"""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import lightning.pytorch.cli
from jsonargparse import _actions, _from_config, _typehints
from jsonargparse._util import canonical_import_paths
from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.fabric.plugins import Precision as FabricPrecision
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import LayerSync
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

_OURS = frozenset({"models", "datamodules", "callbacks", "lightning_app", "sweeps"})
_ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = frozenset({"torch", "torchmetrics", "torch_geometric", "lightning", "pytorch_lightning"})
_KINDS = (
    nn.Module, Optimizer, LRScheduler, ReduceLROnPlateau, LightningDataModule, Callback, Logger, Strategy, Accelerator,
    Profiler, FabricPrecision, ClusterEnvironment, CheckpointIO, LayerSync,
)  # fmt: skip
_FACTORIES = (Optimizer, LRScheduler, ReduceLROnPlateau)
_FUNCTIONS = ("torch.nn.functional", "torch._C._nn")
"""Modules with functions of tensors, which a user's network may use as its activation."""
_EVALUATING = frozenset({"torch_geometric.nn.sequential.Sequential"})
"""Library classes that execute their string arguments as Python."""
_PLUGIN_GROUP = "lightning_app"
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class UntrustedClassError(ValueError):
    """A config that is treated as data names code that is not trusted."""


class TrustedClasses:
    """Context manager that restricts what configs may import while it is active.

    Allowed: classes of this project, torch, torchmetrics, PyG, Lightning and registered plug-ins; anything in packages
    that the user named; and, from modules that are already imported (e.g. a notebook), classes of known kinds:
    networks, optimizers, callbacks, data modules and so on.

    Args:
        named: Import paths of modules, classes or functions that the user named explicitly. Each makes its whole
            top-level package trusted, unless that is one of the libraries.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        outer: TrustedClasses | None = _active.get()
        self.named: frozenset[str] = frozenset(named) | (outer.named if outer is not None else frozenset())
        self._packages = frozenset(_top(path) for path in self.named) - _LIBRARIES - _OURS
        self._refused: list[str] = []

    def __enter__(self) -> "TrustedClasses":
        self._token = _active.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _active.reset(self._token)

    @contextmanager
    def explaining(self, source: str = "") -> Iterator[None]:
        """Turns a parsing failure that a refusal caused into `UntrustedClassError`; the parser hides the reason.

        Args:
            source: Origin of the config, for the message.

        Raises:
            UntrustedClassError: A class was refused.
        """
        self._refused.clear()
        try:
            yield
        except UntrustedClassError as error:
            raise UntrustedClassError(f"{source}: {error}" if source else str(error)) from None
        except Exception as error:
            if self._refused:
                raise UntrustedClassError(f"{source}: {self._refused[0]}" if source else self._refused[0]) from error
            raise

    def check_data(self, config: Any, source: str, key: str = "") -> None:
        """Raises if plain data names an untrusted class; imports nothing.

        Args:
            config: Nested mappings and lists.
            source: Origin of the config, for the message.
            key: Key of `config` within the source.

        Raises:
            UntrustedClassError: The data names an untrusted class.
        """
        refused = [(where, path) for where, path in _class_paths(config, key) if self._why_not_path(path)]
        if refused:
            where, path = refused[0]
            modules = dict.fromkeys(_module(path) for _, path in refused)
            raise UntrustedClassError(f"{source}: {where}: {_not_trusted(path, modules)}")

    def check_path(self, path: str) -> None:
        """Raises `ImportError` unless `path` may be imported."""
        if reason := self._why_not_path(path):
            self._refused.append(reason)
            raise ImportError(reason)

    def check_object(self, path: str, target: Any) -> None:
        """Raises `ImportError` unless the object imported from `path` may be used."""
        if reason := self._why_not_object(path, target):
            self._refused.append(reason)
            raise ImportError(reason)

    def knows(self, path: str) -> bool:
        """Whether a path belongs to this project, a library, a plug-in or a package that the user named."""
        top = _top(path)
        if top in _OURS:  # a user's folder with the name of one of our packages is trusted file by file
            return _is_ours(path) or any(path == name or path.startswith(f"{name}.") for name in self.named)
        return top in _LIBRARIES or top in self._packages or top in _plugins()

    def _why_not_path(self, path: str) -> str | None:
        if path in self.named or self.knows(path) or _is_kind(imported(path)):
            return None
        return _not_trusted(path, [_module(path)])

    def _why_not_object(self, path: str, target: Any) -> str | None:
        if path in self.named or (path.rpartition(".")[0] in _FUNCTIONS and inspect.isroutine(target)):
            return None
        if _evaluates(target):
            return f"{path} runs text of its arguments as code; --trust {path} allows it"
        defined = sorted(canonical_import_paths(target))
        foreign = [defining_path for defining_path in defined if not self.knows(defining_path)]
        if foreign and not _is_kind(imported(path)):
            return f"{path} is {foreign[0]}, which is not trusted; --trust {path} allows it"
        if inspect.isclass(target) and (_is_kind(target) or not _LIBRARIES.intersection(map(_top, defined))):
            return None
        if not defined or any(_top(defining_path) in self._packages for defining_path in defined):
            return None  # functions and constants of packages that the user named
        return (
            f"{path} is not of a kind that a checkpoint, run folder or package may name (a network, an "
            f"optimizer, a scheduler, a callback, ...); --trust {path} allows it"
        )


def _evaluates(target: Any) -> bool:
    bases = target.__mro__ if inspect.isclass(target) else ()
    return any(f"{base.__module__}.{base.__qualname__}" in _EVALUATING for base in bases)


def trusted_classes() -> "TrustedClasses":
    """The active rule, or one without user-named packages."""
    return _active.get() or TrustedClasses()


def modules_to_trust(config: Any) -> list[str]:
    """Modules of the classes in plain data that the user would have to trust by name, ignoring active trust."""
    token = _active.set(None)
    try:
        nobody = TrustedClasses()
    finally:
        _active.reset(token)
    return list(dict.fromkeys(_module(path) for _, path in _class_paths(config) if not nobody.knows(path)))


def _class_paths(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key and import path of each class named in plain data."""
    if isinstance(config, dict):
        for name, value in config.items():
            if name in ("class_path", "_class_path") and isinstance(value, str) and "." in value:
                yield key.lstrip(".") or name, value
            yield from _class_paths(value, key if name == "init_args" else f"{key}.{name}")
    elif isinstance(config, list | tuple):
        for index, value in enumerate(config):
            yield from _class_paths(value, f"{key}[{index}]")


def _not_trusted(path: str, modules: Iterable[str]) -> str:
    return (
        f"{path} is code of {_module(path)!r}, which is not trusted here: a checkpoint, run folder or package is data. "
        f"If you know what it names, add --trust {','.join(modules)} (in Python: import it first)"
    )


def _module(path: str) -> str:
    return path.rsplit(".", 1)[0]


def dotted_names(value: Any) -> set[str]:
    """All strings in nested plain data, keys included, that may be import paths.

    Args:
        value: Plain data, such as a user's config.
    """
    if isinstance(value, dict):
        return set().union(*(dotted_names(inner) for inner in value.values()), set())
    if isinstance(value, list | tuple):
        return set().union(*(dotted_names(inner) for inner in value), set())
    return {value} if isinstance(value, str) and _DOTTED.fullmatch(value) else set()


_active: ContextVar[TrustedClasses | None] = ContextVar("trusted_classes", default=None)


def _top(path: str) -> str:
    return path.split(".", 1)[0]


@functools.cache
def _is_ours(path: str) -> bool:
    """Whether a path leads to a file of this project: a user may have a folder `models` too."""
    top, *inner = path.split(".")
    if top not in _OURS:
        return False
    folder = _ROOT / top
    for name in inner[:-1]:
        if (folder / f"{name}.py").is_file():
            return True
        if not (folder / name).is_dir():
            return name == inner[-2] and _has_moved(path.rpartition(".")[0])
        folder /= name
    return True


def _has_moved(module: str) -> bool:
    """Whether a module that one of our packages lacks is a former name of ours; its loader then is ours too."""
    spec = find_spec(module)  # imports the parent package, which is ours
    return spec is not None and _top(type(spec.loader).__module__) in _OURS


@functools.cache
def _plugins() -> frozenset[str]:
    """Top-level packages that installed distributions registered as plug-ins of this project."""
    installed = entry_points()
    groups = [group for group in installed.groups if _top(group) == _PLUGIN_GROUP]
    return frozenset(_top(point.value.split(":")[0]) for group in groups for point in installed.select(group=group))


def imported(path: str) -> Any:
    """The object at an import path if its module is already imported, else None; imports nothing."""
    module, _, name = path.rpartition(".")
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def _is_kind(target: Any) -> bool:
    if not inspect.isclass(target):
        return False
    return issubclass(target, _KINDS) or any(_top(base.__module__) in _OURS for base in target.__mro__)


def _guard_imports() -> None:
    """Wraps the imports of jsonargparse and of checkpoint loading; without an active rule nothing changes.

    jsonargparse's own `import_path_allowlist` is global to the process and knows packages but not kinds.
    """
    stock_import = _typehints.import_object
    stock_check = _typehints.check_import_path
    stock_adapt: Callable[..., Any] = _typehints.adapt_partial_callable_class
    stock_instantiate: Callable[..., Any] = lightning.pytorch.cli.instantiate_module
    stock_returns = _typehints.function_returns_subclass

    def import_object(name: str, check_path: bool = True) -> Any:
        rule = _active.get()
        if rule is None or not check_path or not isinstance(name, str) or "." not in name:
            return stock_import(name, check_path=check_path)
        rule.check_path(name)
        target = stock_import(name, check_path=check_path)
        rule.check_object(name, target)
        return target

    def check_import_path(path: str) -> None:
        stock_check(path)
        if (rule := _active.get()) is not None:
            rule.check_path(path)

    def adapt_partial_callable_class(callable_type: Any, subclass_spec: Any) -> Any:
        expected = _factory_of(_typehints.get_callable_return_type(callable_type))
        if _active.get() is not None and expected:
            _check_factory(expected, subclass_spec["class_path"], callable_type)
        return stock_adapt(callable_type, subclass_spec)

    def function_returns_subclass(function: Any, subclass_types: Any, logger: Any) -> bool:
        if _active.get() is not None and any(issubclass(kind, _FACTORIES) for kind in subclass_types):
            return False
        return stock_returns(function, subclass_types, logger)

    def instantiate_module(class_type: type, config: dict[str, Any]) -> Any:
        if (rule := _active.get()) is not None:
            rule.check_data(config, "hyper_parameters")
        return stock_instantiate(class_type, config)

    lightning.pytorch.cli.instantiate_module = instantiate_module
    for module in (_typehints, _actions, _from_config):
        vars(module)["import_object"] = import_object
    _typehints.check_import_path = check_import_path
    _typehints.adapt_partial_callable_class = adapt_partial_callable_class
    _typehints.function_returns_subclass = function_returns_subclass


def _factory_of(return_type: Any) -> tuple[type, ...]:
    """Optimizer or scheduler classes that a factory returns; empty for any other factory."""
    kinds = _typehints.get_subclass_types(return_type) if return_type else None
    return kinds if kinds and any(issubclass(kind, _FACTORIES) for kind in kinds) else ()


def _check_factory(expected: tuple[type, ...], path: str, callable_type: Any) -> None:
    return_type = _typehints.get_callable_return_type(callable_type)
    target = _typehints.import_object(_typehints.resolve_class_path_by_name(return_type, path))
    if not (inspect.isclass(target) and issubclass(target, expected)):
        names = " or ".join(kind.__name__ for kind in expected)
        raise ImportError(f"{path} is not of the kind {names}, which is required here")


_guard_imports()
