"""Command line of the four training verbs: fit, validate, test and predict.

`lightning_app.cli.run` is the command line as a function. Names of this package are imported when they are first used,
so that its modules which need no torch start without it.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from lightning_app.cli.app_cli import AppCLI
    from lightning_app.cli.command import run
    from lightning_app.cli.quiet_libraries import quiet
    from lightning_app.cli.resolved_config import experiment_name

_MODULES = {"AppCLI": "app_cli", "experiment_name": "resolved_config", "quiet": "quiet_libraries", "run": "command"}

__all__ = ["AppCLI", "experiment_name", "quiet", "run"]


def __getattr__(name: str) -> _Any:
    if name in __all__:
        return getattr(_import_module(f"lightning_app.cli.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lightning_app.cli' has no attribute {name!r}")
