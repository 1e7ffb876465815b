"""What finding a version imports."""

import subprocess
import sys

from tests.conftest import CONFIGS

PROGRAM = """
import sys
from lightning_app.registry import Registry
heavy = {"torch", "lightning", "mlflow", "polars", "onnxruntime", "pandas", "sqlalchemy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_registry_is_imported_without_anything_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=CONFIGS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
