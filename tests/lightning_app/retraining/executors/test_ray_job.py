from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_app.retraining.config.executor_config import RayExecutorConfig
from lightning_app.retraining.executors import Done, Failed, Running, open_executor
from tests.lightning_app.retraining.executors.jobs import ended, job, training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("ray.job_submission", reason="needs ray[default]")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the job server of a cluster of one node."""
    import ray

    context = ray.init(num_cpus=2, include_dashboard=True, dashboard_port=0, log_to_driver=False)
    yield f"http://{context.dashboard_url}"
    ray.shutdown()


def config(address: str, folder: Path, words: str) -> RayExecutorConfig:
    return RayExecutorConfig(address=address, entrypoint=f"{training(folder)} $folder {words}", settle="1s")


def test_a_job_is_submitted_once_polled_and_done(address, tmp_path) -> None:
    executor, what = open_executor(config(address, tmp_path, "2")), job(tmp_path)
    executor.start(what)
    again = open_executor(config(address, tmp_path, "2"))
    handle = again.start(what)
    assert isinstance(again.poll(what, handle), Running)
    status = ended(again, what, handle, seconds=120)
    assert isinstance(status, Done)
    assert status.result.digest == "d"


def test_a_job_that_fails_or_is_stopped_has_failed(address, tmp_path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    executor, what = open_executor(config(address, first, "0 fail")), job(first)
    # The name of a job is that of its cycle and attempt: another attempt of the same one, in another folder.
    what = job(first, attempt=8)
    status = ended(executor, what, executor.start(what), seconds=120)
    assert isinstance(status, Failed)
    assert "is failed without a result" in status.reason
    executor, what = open_executor(config(address, first, "600")), job(first, attempt=10)
    handle = executor.start(what)
    with pytest.raises(OSError, match="an earlier attempt"):
        executor.start(job(first, attempt=11))
    executor.stop(what, handle)
    executor.stop(what, handle)
    assert isinstance(ended(executor, what, handle, seconds=60), Failed)


def test_a_cluster_that_is_away_ends_no_job(tmp_path) -> None:
    executor, what = open_executor(config("http://127.0.0.1:9", tmp_path, "0")), job(tmp_path)
    with pytest.raises(OSError, match=r"127.0.0.1:9 cannot be reached"):
        executor.start(what)
    assert isinstance(executor.poll(what, {}), Running)
