"""Deferred imports: modules that take seconds to import, and that a command seldom uses.

Lightning imports torch._dynamo, and with it sympy and torch._inductor, to ask whether a module is compiled; torch
imports it when an optimizer is constructed; torchmetrics imports scipy.signal for the sake of another package, and
matplotlib for its annotations. Together that is half the CPU time of a short command. Here a few modules, `IMPORTERS`,
import placeholders in the place of the real ones; a placeholder that is asked for more than the few names that it has
imports the real module, and everybody else imports the real one. A few packages, `RUN_WHEN_ASKED`, that are imported
for themselves or for one submodule only run their code when a name of it is looked up. Where a release of these
libraries does not fit, they are imported as ever, and the command is slower.
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
"""Module, and what is deferred while it is imported."""

RUN_WHEN_ASKED: dict[str, tuple[str, ...]] = {
    "torch_geometric.datasets": (),  # imports pandas; PyG imports it beside all its other packages
    "wandb.sdk.launch": ("errors", "inputs"),  # imports half of W&B; each run imports the one submodule `inputs`
}
"""Package, and those of its submodules that do not need its own code."""


class DeferredImports(MetaPathFinder):
    """Finds the modules of the tables below, and the submodules of a placeholder."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of a module that defers an import or is completed after its own; None for anything else."""
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
        # The package has imported it; while it is in `sys.modules`, the caller would run it a second time.
        return spec_from_loader(fullname, _LoadedModule(sys.modules.pop(fullname)))


class _DeferringLoader(SourceFileLoader):
    """Runs a module with placeholders for what it is to import later."""

    def exec_module(self, module: ModuleType) -> None:
        with _placeholders(IMPORTERS.get(module.__name__, ())):
            super().exec_module(module)
        if complete := _COMPLETIONS.get(module.__name__):
            with suppress(AttributeError):  # another release
                complete(module)


class _LazyLoader(SourceFileLoader):
    """Leaves a package empty but for its submodules until it is asked for a name."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _LazyPackage

    def run(self, module: ModuleType) -> None:
        super().exec_module(module)


class _LazyPackage(ModuleType):
    def run(self) -> ModuleType:
        with _running:
            loader = self.__loader__
            if type(self) is _LazyPackage and isinstance(loader, _LazyLoader):  # not run by another thread meanwhile
                object.__setattr__(self, "__class__", ModuleType)
                try:
                    loader.run(self)
                except BaseException:
                    object.__setattr__(self, "__class__", _LazyPackage)  # whoever asks next is told as well
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
    """Gives back a module that was imported on the way."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Placeholder(ModuleType):
    """Stands for a module that is not imported yet."""

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
            setattr(placed[parent], child, placeholder)  # `import a.b as c` looks for `b` in `a`
    try:
        yield
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


def _dynamo() -> ModuleType | None:
    """torch._dynamo if it is imported."""
    module = sys.modules.get(_DYNAMO)
    return None if isinstance(module, _Placeholder) or not hasattr(module, "disable") else module


class _IsCompiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        dynamo = _dynamo()
        return dynamo is not None and isinstance(instance, dynamo.OptimizedModule)


class OptimizedModule(metaclass=_IsCompiled):
    """`torch._dynamo.OptimizedModule` for `isinstance`: nothing is compiled before torch._dynamo is imported."""


def disable(
    fn: Callable[..., Any] | None = None,
    recursive: bool = True,  # the signature of torch._dynamo.disable
    **options: Any,
) -> Callable[..., Any]:
    """`torch._dynamo.disable`: there is nothing to switch off before torch._dynamo is imported.

    Args:
        fn: What is never to be compiled; None imports torch._dynamo.
        recursive: Whether what it calls is not compiled either.
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
    """Lets functions of torch that are never compiled, all methods of optimizers among them, do without an import."""
    original = module._disable_dynamo

    @wraps(original)
    def _disable_dynamo(fn: Any = None, recursive: bool = True) -> Any:
        if fn is not None:
            with suppress(AttributeError):  # a builtin function takes no attributes
                fn.__dynamo_disable = disable(fn, recursive, wrapping=False)  # where the original looks first
        return original(fn, recursive)

    module._disable_dynamo = _disable_dynamo  # type: ignore[attr-defined]


def _defer_graph_breaks(module: ModuleType) -> None:
    """Lets the step of an optimizer run torch's own code, which imports torch._dynamo, on a placeholder."""
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
    """`torch._dynamo.graph_break`: a mark for the compiler."""


def _add_hamming(module: ModuleType) -> None:
    """What torchmetrics would have done had it imported scipy.signal."""
    if not hasattr(module, "hamming"):
        module.hamming = module.windows.hamming  # type: ignore[attr-defined]


class _OfMatplotlib:
    """A class of matplotlib in an annotation."""


@contextmanager
def _style_context(*args: Any, **kwargs: Any) -> Iterator[None]:
    """`matplotlib.pyplot.style.context`, which decorates the functions of torchmetrics that draw."""
    with import_module("matplotlib.pyplot").style.context(*args, **kwargs):
        yield


PLACEHOLDERS: dict[str, dict[str, Any]] = {
    _DYNAMO: {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break},
    "scipy.signal": {"hamming": None},
    "matplotlib": {"colors": SimpleNamespace(Colormap=_OfMatplotlib)},
    "matplotlib.axes": {"Axes": _OfMatplotlib},
    "matplotlib.pyplot": {"Figure": _OfMatplotlib, "style": SimpleNamespace(context=_style_context)},
}
"""What a placeholder knows by itself."""

_COMPLETIONS: dict[str, Callable[[ModuleType], None]] = {
    "torch._compile": _defer_disabling,
    "torch.optim.optimizer": _defer_graph_breaks,
    "scipy.signal": _add_hamming,
}
"""Module, and what is done once it is imported."""


def install() -> None:
    """Puts the finder in front of all others, once."""
    if not any(isinstance(finder, DeferredImports) for finder in sys.meta_path):
        sys.meta_path.insert(0, DeferredImports())
