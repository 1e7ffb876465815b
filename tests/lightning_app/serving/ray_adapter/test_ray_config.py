"""Which configurations run under Ray Serve; it needs no Ray."""

from pathlib import Path

import pytest

from lightning_app.errors import UsageError
from lightning_app.serving.ray_adapter.node_folder import NodeFolder
from lightning_app.serving.ray_adapter.ray_config import read_ray_config

OPEN = "insecure: true\njournal: {url: null}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OPEN + "models: [{model: price}]\nport: 9000\n", "port: 9000 given.*http_options.port"),
        (OPEN + "models: [{model: price}]\ngrpc_port: 9001\n", "grpc_port: 9001 given.*over HTTP"),
        (OPEN + "models: [{model: price}]\nworkers: 2\n", "workers: 2 given.*num_replicas"),
        (OPEN + "models: [{model: price}]\nlimits: {connections: 5}\n", "limits.connections: 5.*max_ongoing_requests"),
        ("models: [{model: price}]\n", "keys: none given"),
        (OPEN + "keys: /keys.yaml\nmodels: [{model: price}]\n", "insecure: given together with keys"),
        (OPEN + "models: [{model: packages/price}]\n", "packages/price is relative"),
        ("insecure: true\nmodels: [{model: price}]\n", "journal.url: journal.db is relative"),
        (
            "models: [{model: price@champion, canary: {}}]\ninsecure: true\n",
            "canary of price@champion: .*Ray Serve does not start",
        ),
    ],
)
def test_what_ray_serve_does_not_read_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "serve.yaml").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_ray_config(tmp_path / "serve.yaml")


def test_numbers_of_dead_replicas_are_taken_again_without_their_gauges(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = NodeFolder("node-app"), NodeFolder("node-app")
    assert (first.number, second.number) == (0, 1)
    metrics = first.path / "metrics"
    metrics.mkdir()
    for worker in (0, 1):
        (metrics / f"gauge_livesum_{worker}.db").touch()
        (metrics / f"counter_{worker}.db").touch()
    first.close()
    third = NodeFolder("node-app")
    assert third.number == 0
    assert {file.name for file in metrics.iterdir()} == {"counter_0.db", "counter_1.db", "gauge_livesum_1.db"}
    second.close()
    third.close()
    assert list(NodeFolder("node-app").path.iterdir()) == []
