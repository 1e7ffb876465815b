"""Exporter of a LightningModule: the one that its class declares, or that an installed package declares for it.

Nobody has to be trusted for it beyond those whose classes were imported by now. The path in the attribute `exporter` is
read from classes, never from objects, so that no argument of a config or a checkpoint can name one: it is code of the
class's own module, as much as an `import` in it. Entry points come with packages that the user installed.
"""

from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any

from datamodules import BaseDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.exporter import Exporter
from models import BaseModule
from models.trusted_classes import imported

GROUP = "lightning_app.exporters"
"""Group of entry points: the import path of a LightningModule, and the exporter of it as `package.module:Class`."""
_HOW = "see docs/extending.md, 'A family of its own'"


def exporter_for(module: Any, data: Any) -> Exporter:
    """The exporter of a model.

    Args:
        module: With the weights of the checkpoint, in evaluation.
        data: What it is tested on, set up for the test.

    Raises:
        UsageError: Nobody declares an exporter for models of this class, it is not one, or not for this data.
    """
    name = type(module).__name__
    for value, needed, key in ((module, BaseModule, "model"), (data, BaseDataModule, "data")):
        if not isinstance(value, needed):
            raise UsageError(
                f"{key}: {type(value).__name__} is no {needed.__name__}, and packages are made of those alone; {_HOW}"
            )
    declared = _declared(type(module))
    if declared is None:
        raise UsageError(
            f"model: {name} cannot be exported, as no exporter is declared for it: it needs a class attribute "
            f'`exporter = "my_module:MyExporter"`, or an installed package with an entry point {GROUP}; {_HOW}'
        )
    kind = _load(*declared)
    wanted: Any = kind.data_module
    if not isinstance(data, wanted):
        raise UsageError(
            f"data: {type(data).__name__} given, {kind.__name__} exports a {name} on a {wanted.__name__}; {_HOW}"
        )
    if missing := sorted(kind.__abstractmethods__):
        raise UsageError(f"model: {kind.__name__} lacks {', '.join(missing)}, which an exporter has; {_HOW}")
    exporter = kind(module, data)
    if missing := [name for name in ("family", "task") if not hasattr(exporter, name)]:
        raise UsageError(f"model: {kind.__name__} says no {' and no '.join(missing)}; {_HOW}")
    return exporter


def _declared(module_class: type) -> tuple[str, str] | None:
    """Path of the exporter that is declared for a class or the nearest of its bases, and what declares it."""
    installed = entry_points(group=GROUP)
    for kind in module_class.__mro__:
        if path := vars(kind).get("exporter"):
            return path, f"{kind.__name__}.exporter"
        points = [point for point in installed if _names(point, kind)]
        if len({point.value for point in points}) > 1:
            both = " and ".join(f"{point.value} ({_distribution(point)})" for point in points)
            raise UsageError(f"model: {kind.__name__} has two exporters, {both}; uninstall one of the packages")
        if points:
            return points[0].value, f"the entry point {points[0].name} of {_distribution(points[0])}"
        if "exporter" in vars(kind):
            return None  # not exported, whatever its bases are
    return None


def _names(point: EntryPoint, kind: type) -> bool:
    return point.name == f"{kind.__module__}.{kind.__qualname__}" or imported(point.name) is kind


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else point.dist.name


def _load(path: str, declared_by: str) -> type[Exporter]:
    """The exporter at a path such as `package.module:Class`."""
    try:
        kind = resolve_name(path)
    except (TypeError, ValueError) as error:
        raise UsageError(f"model: {declared_by} says {path!r}, package.module:Class is needed: {error}") from error
    except Exception as error:  # its module is the user's code, which may fail in any way
        reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UsageError(f"model: {declared_by} says {path!r}, which cannot be imported: {reason}") from error
    if not (isinstance(kind, type) and issubclass(kind, Exporter)):
        raise UsageError(f"model: {declared_by} says {path!r}, which is no subclass of Exporter")
    return kind
