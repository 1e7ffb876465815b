"""What the processes of a server import: each costs seconds, or hundreds of MiB, for every worker."""

import subprocess
import sys

import pytest

TRAINING = (
    "torch", "lightning", "models", "datamodules", "mlflow", "pandas", "fastapi", "pydantic", "scipy", "sklearn",
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("lightning_app.serving.worker.worker", TRAINING),
        ("lightning_app.serving.supervisor.supervisor", (*TRAINING, "numpy", "onnxruntime", "polars", "pyarrow")),
        ("lightning_app.serving.stream.worker", TRAINING),
        ("lightning_app.serving.client.client", (*TRAINING, "numpy", "onnxruntime", "polars", "pyarrow")),
    ],
)
def test_processes_of_a_server_import_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
