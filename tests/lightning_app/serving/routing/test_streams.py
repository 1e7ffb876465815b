"""Streams and fallbacks: the state of one version is never given to another."""

from pathlib import Path

from lightning_app.serving.config.control_channel import ResolvedModel
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.server import resolved, running_worker

TEXT = {"columns": {"text": ["ache"]}}


def test_no_other_version_answers_a_request_that_carries_a_state(tmp_path: Path) -> None:
    package = stream_package(tmp_path / "p")
    other = stream_package(tmp_path / "q", seed=1)
    arms = [
        ResolvedModel(name="m", reference="m", version=2, digest=resolved(package, "m").digest, path=str(package)),
        ResolvedModel(
            name="m", reference="m@1", version=1, digest=resolved(other, "m").digest, path=str(other), arm="fallback-1"
        ),
    ]
    chaos = {"chaos": {"faults": [{"kind": "error", "arm": "champion"}]}}
    model = {"fallback": [{"model": str(other)}]}
    with running_worker(tmp_path / "w", arms, config=chaos, model_config=model) as worker:
        for query in ("session=a", "return_state=true"):
            assert worker.client.post(f"/predict?{query}", json=TEXT).status_code == 500
        answer = worker.client.post("/predict", json=TEXT).json()  # one without a state
        assert (answer["degraded"], answer["version"]) == ("error", 1)
        inputs = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["ache"]}]
        assert worker.client.post("/v2/models/m/infer", json={"inputs": inputs}).status_code == 500
