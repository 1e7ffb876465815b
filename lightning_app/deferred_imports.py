"""Deferred imports: expensive modules that most commands never use are imported only when they are needed.

Lightning imports torch._dynamo, and with it sympy and torch._inductor, only to check whether a module is compiled;
torch imports it when an optimizer is constructed; torchmetrics imports scipy.signal on behalf of another package, and
matplotlib for annotations. Together this is half the CPU time of a short command. While the modules in `IMPORTERS` are
imported, they get placeholders instead of these modules. A placeholder imports the real module when any name beyond a
few known ones is accessed; all other importers get the real module directly, and nothing is replaced after the imports.
If a release of these libraries does not match, everything is imported as usual, and the command is merely slower.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_loader
from types import ModuleType, SimpleNamespace
from typing import Any

_DYNAMO = "torch._dynamo"
IMPORTERS = {
    "lightning.fabric.wrappers": (_DYNAMO,),
    "lightning.pytorch.utilities.compile": (_DYNAMO,),
    "lightning.pytorch.trainer.connectors.logger_connector.result": (_DYNAMO,),
    "torch_geometric.isinstance": (_DYNAMO,),
    "torch_geometric.llm.utils.backend_utils": ("pandas",),
    "torchmetrics": ("scipy.signal",),
    "torchmetrics.audio": ("scipy.signal",),
    "torchmetrics.functional.audio": ("scipy.signal",),
    "torchmetrics.utilities.plot": ("matplotlib", "matplotlib.axes", "matplotlib.pyplot"),
}
"""Module -> modules that are deferred while it is imported."""


class DeferredImports(MetaPathFinder):
    """Meta path finder for the modules of the tables in this file, and for submodules of placeholders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Finds the spec of a module that this finder handles; None for any other module."""
        if fullname in IMPORTERS or fullname in _COMPLETIONS:
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and type(spec.loader) is SourceFileLoader:
                spec.loader = _DeferringLoader(fullname, spec.loader.path)
            return spec
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(parent, _Placeholder):
            return None
        package = parent.real()
        if fullname not in sys.modules:
            return PathFinder.find_spec(fullname, package.__path__)
        # The package has imported the submodule itself. The import system must get that module, not run it again.
        return spec_from_loader(fullname, _LoadedModule(sys.modules.pop(fullname)))


class _DeferringLoader(SourceFileLoader):
    """Loader that runs a module with placeholders for its expensive imports."""

    def exec_module(self, module: ModuleType) -> None:
        with _placeholders(IMPORTERS.get(module.__name__, ())):
            super().exec_module(module)
        if complete := _COMPLETIONS.get(module.__name__):
            with suppress(AttributeError):  # another release
                complete(module)


class _LoadedModule(Loader):
    """Loader that returns a module which has already been imported."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Placeholder(ModuleType):
    """Placeholder of a module that is not imported yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        vars(self).update(__path__=[], **PLACEHOLDERS[name])

    def real(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real(), name)


@contextmanager
def _placeholders(names: Sequence[str]) -> Iterator[None]:
    placed: dict[str, _Placeholder] = {}
    for name in names:
        parent = name.rpartition(".")[0]
        # `a.b` is an attribute of `a`: where `a` itself has been imported, a placeholder of `a.b` would not be found.
        if name not in sys.modules and (parent not in names or parent in placed):
            placed[name] = _Placeholder(name)
    sys.modules.update(placed)
    for name, placeholder in placed.items():
        parent, _, child = name.rpartition(".")
        if parent in placed:
            setattr(placed[parent], child, placeholder)  # `import a.b as c` reads the attribute `b` of `a`
    try:
        yield
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


def _name(module: str, name: str) -> Any:
    """A name of a real module; None while the module is not imported or its import has not come to the name."""
    imported = sys.modules.get(module)
    return None if isinstance(imported, _Placeholder) else getattr(imported, name, None)


class _StandIn(type):
    """Type of stand-ins for classes: before the real class is imported, nothing is an instance of it."""

    module: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(cls.module), cls.__name__)(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        real = _name(cls.module, cls.__name__)
        return real is not None and isinstance(instance, real)


def _stand_in(module: str, name: str) -> _StandIn:
    return _StandIn(name, (), {"module": module})


def _disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Callable[..., Any]:
    """Stand-in for `torch._dynamo.disable`, which has no effect before torch._dynamo is imported."""
    if fn is None:
        return import_module(_DYNAMO).disable(fn, recursive, **options)
    original: Callable[..., Any] = fn
    disabled: list[Callable[..., Any]] = []

    @wraps(original)
    def until_imported(*args: Any, **kwargs: Any) -> Any:
        if not disabled and (disable := _name(_DYNAMO, "disable")):
            disabled.append(disable(original, recursive, **options))
        return (disabled[0] if disabled else original)(*args, **kwargs)

    vars(until_imported).update(_torchdynamo_disable=True, _torchdynamo_disable_msg=options.get("reason"))
    return until_imported


def _defer_disabling(module: ModuleType) -> None:
    """Makes torch's `_disable_dynamo` decorator, used for all optimizer methods, work without torch._dynamo."""
    original = module._disable_dynamo

    @wraps(original)
    def _disable_dynamo(fn: Any = None, recursive: bool = True) -> Any:
        if fn is not None:
            with suppress(AttributeError):  # a builtin function takes no attributes
                fn.__dynamo_disable = _disable(fn, recursive, wrapping=False)  # where the original looks first
        return original(fn, recursive)

    module._disable_dynamo = _disable_dynamo  # type: ignore[attr-defined]


def _defer_graph_breaks(module: ModuleType) -> None:
    """Makes optimizer steps, which import torch._dynamo only to mark graph breaks for the compiler, work without it."""
    decorate = module._use_grad_for_differentiable

    @wraps(decorate)
    def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
        with_graph_breaks: Callable[..., Any] = decorate(func)

        @wraps(func)
        def until_imported(*args: Any, **kwargs: Any) -> Any:
            if _DYNAMO in sys.modules:
                return with_graph_breaks(*args, **kwargs)
            with module.torch.set_grad_enabled(args[0].defaults["differentiable"]):
                return func(*args, **kwargs)

        return until_imported

    module._use_grad_for_differentiable = _use_grad_for_differentiable  # type: ignore[attr-defined]


def _add_hamming(module: ModuleType) -> None:
    """Adds the alias that torchmetrics adds when it imports scipy.signal."""
    if not hasattr(module, "hamming"):
        module.hamming = module.windows.hamming  # type: ignore[attr-defined]


@contextmanager
def _style_context(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Stand-in for `matplotlib.pyplot.style.context`, which decorates the plotting functions of torchmetrics."""
    with import_module("matplotlib.pyplot").style.context(*args, **kwargs):
        yield


PLACEHOLDERS: dict[str, dict[str, Any]] = {
    _DYNAMO: {"OptimizedModule": _stand_in(_DYNAMO, "OptimizedModule"), "disable": _disable},
    "scipy.signal": {"hamming": None},
    "matplotlib": {"colors": SimpleNamespace(Colormap=_stand_in("matplotlib.colors", "Colormap"))},
    "matplotlib.axes": {"Axes": _stand_in("matplotlib.axes", "Axes")},
    "matplotlib.pyplot": {
        "Figure": _stand_in("matplotlib.figure", "Figure"),
        "style": SimpleNamespace(context=_style_context),
    },
    "pandas": {"DataFrame": _stand_in("pandas", "DataFrame")},
}
"""Module -> names that its placeholder provides without importing it."""

_COMPLETIONS: dict[str, Callable[[ModuleType], None]] = {
    "torch._compile": _defer_disabling,
    "torch.optim.optimizer": _defer_graph_breaks,
    "scipy.signal": _add_hamming,
}
"""Module -> function that is applied to it after its import."""


def install() -> None:
    """Puts the finder first in `sys.meta_path`; repeated calls have no effect."""
    if not any(isinstance(finder, DeferredImports) for finder in sys.meta_path):
        sys.meta_path.insert(0, DeferredImports())
