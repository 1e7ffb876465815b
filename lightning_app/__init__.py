"""Public API of the application: the command line and everything after training.

For notebooks and scripts: `build`, `load`, `load_data`, `export`, `Package`, `Registry`, `CardOptions`, and `cli.run`,
the command line as a function. Each is imported on first access, so that `import lightning_app` stays cheap.
"""

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from lightning_app import deferred_imports as _deferred_imports
from lightning_app import module_search as _module_search
from lightning_app.version import __version__

if TYPE_CHECKING:
    from lightning_app import cli
    from lightning_app.card_options import CardOptions
    from lightning_app.notebook import build, export, load, load_data
    from lightning_app.packaging import Package
    from lightning_app.registry import Registry

__all__ = ["CardOptions", "Package", "Registry", "__version__", "build", "cli", "export", "load", "load_data"]

_MODULES = {
    "CardOptions": "lightning_app.card_options",
    "Package": "lightning_app.packaging",
    "Registry": "lightning_app.registry",
    "build": "lightning_app.notebook",
    "export": "lightning_app.notebook",
    "load": "lightning_app.notebook",
    "load_data": "lightning_app.notebook",
}

_module_search.install()
_deferred_imports.install()


def __getattr__(name: str) -> _Any:
    # jsonargparse reads this variable at import; its deprecation warnings are not meant for our users.
    _os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    if name == "cli":
        return _import_module("lightning_app.cli")
    if name in _MODULES:
        return getattr(_import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'lightning_app' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
