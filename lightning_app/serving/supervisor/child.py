"""Start of child processes: our own modules, whatever lies in the working folder."""

import os
import sys
from collections.abc import Mapping

from lightning_app.module_search import ROOT

_INSTALLED = ("site-packages", "dist-packages")


def command_of(module: str) -> list[str]:
    """Command line that runs a module; files of the working folder cannot take the place of libraries.

    Args:
        module: Full name of the module.
    """
    return [sys.executable, "-P", "-m", module]


def environment(further: Mapping[str, str]) -> dict[str, str]:
    """Environment of a child.

    Args:
        further: Variables beside those of this process.
    """
    variables = {**os.environ, **further}
    if ROOT.name not in _INSTALLED:  # a checkout that may not be installed
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return variables
