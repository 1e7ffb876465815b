"""What docs/serving.md says of clients and metrics, and docs/streams.md of those of streams."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.serving.observability.metric_names import HELP
from tests.conftest import CONFIGS
from tests.lightning_app.serving.server import running_worker
from tests.packages import small_package

PAGE = (CONFIGS.parent / "docs" / "serving.md").read_text()
STREAMS = (CONFIGS.parent / "docs" / "streams.md").read_text()
(CLIENTS,) = re.findall(r"^## Clients\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
INTERNAL = {"lightning_app_worker_process"}


def test_the_example_of_the_client_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", CLIENTS, re.DOTALL)
    journal = {"journal": {"url": f"sqlite:///{tmp_path}/journal.db"}}
    with running_worker(tmp_path / "w", [("prices", small_package(tmp_path / "p"))], config=journal) as worker:
        program = example.replace("http://localhost:8000", worker.address)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answered, refused = done.stdout.splitlines()
    assert re.match(r"\[\{.*\}\] None \S+ \(\)", answered)
    assert refused.startswith("422 bad_request ")


@pytest.mark.parametrize("name", sorted(HELP.keys() - INTERNAL))
def test_every_metric_is_described(name: str) -> None:
    assert re.search(rf"`{name}(_total)?`", STREAMS if "_stream_" in name else PAGE)
