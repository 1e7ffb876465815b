"""What is shipped in deploy/, and the tools that check it."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CONFIGS

ROOT = CONFIGS.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


def tool(name: str) -> str:
    """Path of a program; the test is skipped where there is none.

    Args:
        name: On the PATH, or beside the interpreter.
    """
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def module(name: str, distribution: str) -> list[str]:
    """Command line of a module; the test is skipped where it is not installed."""
    if find_spec(name) is None:
        pytest.skip(f"needs {distribution}")
    return [sys.executable, "-m", name]


def check(*words: object) -> str:
    """Runs a program that has to succeed; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """All documents of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document is not None]
