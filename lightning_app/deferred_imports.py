"""Deferred imports: expensive modules that most commands never use are imported only when they are needed.

Lightning imports torch._dynamo, and with it sympy and torch._inductor, only to check whether a module is compiled;
torch imports it when an optimizer is constructed; torchmetrics imports scipy.signal on behalf of another package, and
matplotlib for annotations. Together this is half the CPU time of a short command. While the modules in `IMPORTERS` are
imported, they get placeholders instead of these modules. A placeholder imports the real module when any name beyond a
few known ones is accessed; all other importers get the real module directly. The packages in `RUN_WHEN_ASKED` execute
their own code only when one of their names is accessed. If a release of these libraries does not match, everything is
imported as usual, and the command is merely slower.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_loader
from threading import RLock
from types import ModuleType, SimpleNamespace
from typing import Any

_DYNAMO = "torch._dynamo"
IMPORTERS = {
    "lightning.fabric.wrappers": (_DYNAMO,),
    "lightning.pytorch.utilities.compile": (_DYNAMO,),
    "lightning.pytorch.trainer.connectors.logger_connector.result": (_DYNAMO,),
    "torch_geometric.isinstance": (_DYNAMO,),
    "torchmetrics": ("scipy.signal",),
    "torchmetrics.audio": ("scipy.signal",),
    "torchmetrics.functional.audio": ("scipy.signal",),
    "torchmetrics.utilities.plot": ("matplotlib", "matplotlib.axes", "matplotlib.pyplot"),
}
"""Module -> modules that are deferred while it is imported."""

RUN_WHEN_ASKED: dict[str, tuple[str, ...]] = {
    "torch_geometric.datasets": (),  # imports pandas; PyG imports it beside all its other packages
    "wandb.sdk.launch": ("errors", "inputs"),  # imports half of W&B; each run imports the one submodule `inputs`
}
"""Package -> submodules that can be imported without running the package's own code."""


class DeferredImports(MetaPathFinder):
    """Meta path finder for the modules of the tables in this file, and for submodules of placeholders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Finds the spec of a module that this finder handles; None for any other module."""
        if fullname in IMPORTERS or fullname in _COMPLETIONS or fullname in RUN_WHEN_ASKED:
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and type(spec.loader) is SourceFileLoader:
                kind = _LazyLoader if fullname in RUN_WHEN_ASKED else _DeferringLoader
                spec.loader = kind(fullname, spec.loader.path)
            return spec
        name, _, submodule = fullname.rpartition(".")
        parent = sys.modules.get(name)
        if isinstance(parent, _LazyPackage) and submodule not in RUN_WHEN_ASKED[name]:
            package = parent.run()
        elif isinstance(parent, _Placeholder):
            package = parent.real()
        else:
            return None
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


class _LazyLoader(SourceFileLoader):
    """Loader that creates an empty package, and runs its code when one of its names is accessed."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _LazyPackage

    def run(self, module: ModuleType) -> None:
        super().exec_module(module)


class _LazyPackage(ModuleType):
    def run(self) -> ModuleType:
        with _running:
            loader = self.__loader__
            if type(self) is _LazyPackage and isinstance(loader, _LazyLoader):  # another thread may have run it
                object.__setattr__(self, "__class__", ModuleType)
                try:
                    loader.run(self)
                except BaseException:
                    object.__setattr__(self, "__class__", _LazyPackage)  # the next access raises the error again
                    raise
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self.run(), name)

    def __dir__(self) -> list[str]:
        return dir(self.run())


_running = RLock()


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
    placed = {name: _Placeholder(name) for name in names if name not in sys.modules}
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


def _dynamo() -> ModuleType | None:
    """torch._dynamo if it is imported, else None."""
    module = sys.modules.get(_DYNAMO)
    return None if isinstance(module, _Placeholder) or not hasattr(module, "disable") else module


class _IsCompiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        dynamo = _dynamo()
        return dynamo is not None and isinstance(instance, dynamo.OptimizedModule)


class OptimizedModule(metaclass=_IsCompiled):
    """Stand-in for `torch._dynamo.OptimizedModule`: without torch._dynamo, nothing is an instance of it."""


def disable(
    fn: Callable[..., Any] | None = None,
    recursive: bool = True,  # the signature of torch._dynamo.disable
    **options: Any,
) -> Callable[..., Any]:
    """Stand-in for `torch._dynamo.disable`, which has no effect before torch._dynamo is imported.

    Args:
        fn: Function that must not be compiled; None imports torch._dynamo.
        recursive: Whether to exclude the functions that it calls, too.
        options: Further options of the original.
    """
    if fn is None:
        return import_module(_DYNAMO).disable(fn, recursive, **options)  # type: ignore[no-any-return]
    original: Callable[..., Any] = fn
    disabled: list[Callable[..., Any]] = []

    @wraps(original)
    def until_imported(*args: Any, **kwargs: Any) -> Any:
        if not disabled and (dynamo := _dynamo()):
            disabled.append(dynamo.disable(original, recursive, **options))
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
                fn.__dynamo_disable = disable(fn, recursive, wrapping=False)  # where the original looks first
        return original(fn, recursive)

    module._disable_dynamo = _disable_dynamo  # type: ignore[attr-defined]


def _defer_graph_breaks(module: ModuleType) -> None:
    """Makes optimizer steps, which import torch._dynamo in torch's own code, use a placeholder."""
    decorate = module._use_grad_for_differentiable

    @wraps(decorate)
    def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
        step: Callable[..., Any] = decorate(func)

        @wraps(func)
        def until_imported(*args: Any, **kwargs: Any) -> Any:
            if _DYNAMO in sys.modules:
                return step(*args, **kwargs)
            with _placeholders((_DYNAMO,)):
                return step(*args, **kwargs)

        return until_imported

    module._use_grad_for_differentiable = _use_grad_for_differentiable  # type: ignore[attr-defined]


def graph_break(msg: str = "") -> None:
    """Stand-in for `torch._dynamo.graph_break`, a marker for the compiler."""


def _add_hamming(module: ModuleType) -> None:
    """Adds the alias that torchmetrics adds when it imports scipy.signal."""
    if not hasattr(module, "hamming"):
        module.hamming = module.windows.hamming  # type: ignore[attr-defined]


class _OfMatplotlib:
    """Stand-in for matplotlib classes in annotations."""


@contextmanager
def _style_context(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Stand-in for `matplotlib.pyplot.style.context`, which decorates the plotting functions of torchmetrics."""
    with import_module("matplotlib.pyplot").style.context(*args, **kwargs):
        yield


PLACEHOLDERS: dict[str, dict[str, Any]] = {
    _DYNAMO: {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break},
    "scipy.signal": {"hamming": None},
    "matplotlib": {"colors": SimpleNamespace(Colormap=_OfMatplotlib)},
    "matplotlib.axes": {"Axes": _OfMatplotlib},
    "matplotlib.pyplot": {"Figure": _OfMatplotlib, "style": SimpleNamespace(context=_style_context)},
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
