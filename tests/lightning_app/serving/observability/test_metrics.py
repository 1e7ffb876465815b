import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")
from prometheus_client.parser import text_string_to_metric_families

from lightning_app.serving.observability.gauge_files import forget_gauges
from lightning_app.serving.observability.metrics import Metrics

# Prints one line when it has counted, then waits to be killed.
WORKER = """
import sys, time
from lightning_app.serving.observability.metrics import Metrics
metrics = Metrics(folder=sys.argv[1], worker=sys.argv[2])
metrics.ready()
model = metrics.model(name="waves", version=3, arm="champion")
for _ in range(100):
    model.observe(200, 0.0031, 2)
model.observe(503, 20.0, 0)
model.queued.set(int(sys.argv[3]))
metrics.registry_reachable.set(int(sys.argv[2]))
print("counted", flush=True)
time.sleep(100)
"""


def killed_worker(folder: Path, worker: str, queued: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), worker, str(queued)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "counted\n"
        process.kill()


def values(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Samples of a name, by their labels, as the real client reads them."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if sample.name == name
    }


def total(metrics: Metrics, name: str, **labels: str) -> float:
    return sum(value for key, value in values(metrics, name).items() if labels.items() <= dict(key).items())


def test_counts_of_killed_workers_stay_are_summed_and_continued_and_their_gauges_go(tmp_path: Path) -> None:
    killed_worker(tmp_path, "0", 5)
    killed_worker(tmp_path, "1", 7)
    metrics = Metrics(folder=tmp_path, worker="2")
    labels = {"model": "waves", "version": "3", "arm": "champion"}

    assert total(metrics, "lightning_app_requests_total", **labels, code="200") == 200
    assert total(metrics, "lightning_app_requests_total", **labels, code="503") == 2
    assert total(metrics, "lightning_app_rows_total", **labels) == 400
    bucket = "lightning_app_request_duration_seconds_bucket"
    assert total(metrics, bucket, **labels, le="0.0025") == 0
    assert total(metrics, bucket, **labels, le="0.005") == 200
    assert total(metrics, bucket, **labels, le="10.0") == 200
    assert total(metrics, bucket, **labels, le="+Inf") == 202
    assert total(metrics, "lightning_app_request_duration_seconds_count", **labels) == 202
    assert total(metrics, "lightning_app_request_duration_seconds_sum", **labels) == pytest.approx(200 * 0.0031 + 40)
    assert total(metrics, "lightning_app_worker_starts_total") == 3
    assert total(metrics, "lightning_app_queued_requests", model="waves") == 12
    assert total(metrics, "lightning_app_registry_reachable") == 0  # worker 0 says so

    memory = values(metrics, "lightning_app_worker_resident_memory_bytes")
    assert memory[("worker", "2"),] > 10e6  # the others are dead
    assert total(metrics, "lightning_app_worker_cpu_seconds_total", worker="2") > 0

    forget_gauges(tmp_path, "0")
    assert total(metrics, "lightning_app_queued_requests", model="waves") == 7
    assert total(metrics, "lightning_app_workers") == 1
    assert total(metrics, "lightning_app_requests_total", **labels, code="200") == 200

    killed_worker(tmp_path, "1", 1)  # started again under its name
    assert total(metrics, "lightning_app_requests_total", **labels, code="200") == 300
    assert total(metrics, "lightning_app_queued_requests", model="waves") == 1


def test_two_arms_of_a_model_count_into_one_queue_and_one_cache(tmp_path: Path) -> None:
    metrics = Metrics(folder=tmp_path, worker="0")
    champion = metrics.model(name="waves", version=1, arm="champion")
    challenger = metrics.model(name="waves", version=2, arm="challenger")
    champion.cache_hits.add()
    challenger.cache_hits.add()
    assert total(metrics, "lightning_app_cache_requests_total", model="waves", result="hit") == 2
    assert metrics.model(name="waves", version=1, arm="champion") is champion


def test_requests_without_a_model_reloads_keys_and_versions_are_told(tmp_path: Path) -> None:
    metrics = Metrics(folder=tmp_path, worker="0")
    metrics.refused(404)
    metrics.refused(404)
    metrics.key_refused("missing")
    metrics.reloaded(name="waves", result="loaded")
    metrics.served(name="waves", version=1, digest="aa")
    metrics.served(name="waves", version=1, digest="aa", is_served=False)
    metrics.served(name="waves", version=2, digest="bb")
    assert total(metrics, "lightning_app_requests_total", model="", code="404") == 2
    assert total(metrics, "lightning_app_keys_refused_total", reason="missing") == 1
    assert total(metrics, "lightning_app_reloads_total", model="waves", result="loaded") == 1
    assert values(metrics, "lightning_app_model_info") == {
        (("digest", "bb"), ("model", "waves"), ("version", "2")): 1.0
    }


def test_the_snapshot_tells_traffic_errors_and_percentiles_in_all_and_of_late(tmp_path: Path) -> None:
    metrics, other = Metrics(folder=tmp_path, worker="0"), Metrics(folder=tmp_path, worker="1")
    for each in (metrics, other):
        each.ready()
        model = each.model(name="waves", version=3, arm="champion")
        for milliseconds in range(1, 101):
            model.observe(200, milliseconds / 1000, 2)
        model.observe(422, 0.001, 0)
    other.refused(404)
    first = metrics.snapshot()
    unknown, waves = first.models
    assert (unknown.model, unknown.total.codes, unknown.total.p50_ms) == ("", {"404": 1}, None)
    assert (waves.model, waves.version, waves.arm, waves.recent) == ("waves", 3, "champion", None)
    total = waves.total
    assert (total.requests, total.rows, total.refused, total.failed) == (202, 400, 2, 0)
    assert total.codes == {"200": 200, "422": 2}
    assert total.mean_ms == pytest.approx(50.01, abs=0.01)
    assert total.p50_ms == pytest.approx(50, abs=1)
    assert total.p95_ms == pytest.approx(95, abs=1)
    assert total.p99_ms == pytest.approx(99, abs=1)
    assert (first.workers, first.worker_starts, first.registry_reachable, first.journal_up) == (2, 2, True, True)

    other.model(name="waves", version=3, arm="champion").observe(500, 20.0, 0)
    recent = metrics.snapshot().models[1].recent
    assert recent is not None
    assert (recent.requests, recent.failed, recent.codes) == (1, 1, {"500": 1})
    assert recent.p99_ms == 10_000  # the last bound


def test_counts_survive_files_that_outgrow_their_first_size(tmp_path: Path) -> None:
    metrics = Metrics(folder=tmp_path, worker="0")
    first = metrics.model(name="waves", version=0, arm="champion")
    for version in range(1, 40):  # 64 KiB hold about ten
        metrics.model(name="waves", version=version, arm="champion").observe(200, 0.001, 1)
        first.observe(200, 0.001, 1)
    assert (tmp_path / "histogram_0.db").stat().st_size > 2 * 2**16
    assert total(metrics, "lightning_app_requests_total", version="0") == 39
    assert total(metrics, "lightning_app_request_duration_seconds_count") == 78
    assert total(Metrics(folder=tmp_path, worker="0"), "lightning_app_rows_total") == 78
