import time
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from lightning_app.errors import UsageError
from lightning_app.retraining.config.executor_config import (
    CommandExecutorConfig,
    ExecutorConfig,
    RayExecutorConfig,
    check_executor,
)
from lightning_app.retraining.executors import Done, Executor, Failed, Running, open_executor
from tests.lightning_app.retraining.executors.jobs import ended, job, queue, training

NAME = "retrain-0123456789abcdef-1"


def queued(folder: Path, *words: str, **fields: str) -> Executor:
    """An executor whose queue is a script; it trains by another."""
    program, train = str(queue(folder)), str(training(folder))
    config = {
        "kind": "command", "start": [program, "submit", "$name", train, "${folder}", *words],
        "poll": [program, "list", "$name"], "stop": [program, "stop", "$name"], "settle": "100ms", **fields,
    }  # fmt: skip
    converted = msgspec.convert(config, ExecutorConfig)
    check_executor(converted)
    return open_executor(converted)


def calls(folder: Path, verb: str) -> int:
    return (folder / "calls").read_text().split("\n").count(f"{verb} {NAME}")


def test_a_job_is_submitted_once_and_found_by_its_name(tmp_path) -> None:
    executor, what = queued(tmp_path, "0.3"), job(tmp_path)
    executor.start(what)  # the tick is killed before it has kept the handle
    again = queued(tmp_path, "0.3")
    handle = again.start(what)
    status = again.poll(what, handle)
    assert isinstance(status, Running)
    assert status.words == "RUNNING"
    assert calls(tmp_path, "submit") == 1
    status = ended(again, what, handle)
    assert isinstance(status, Done)
    assert (status.result.digest, status.result.device_minutes) == ("d", 0.5)
    again.start(what)
    assert calls(tmp_path, "submit") == 1


def test_a_job_that_left_the_queue_without_a_result_has_failed_after_a_while(tmp_path) -> None:
    executor, what = queued(tmp_path, "0", "fail", settle="500ms"), job(tmp_path)
    handle = executor.start(what)
    (what.folder / "log.txt").write_text("out of memory\n")
    begin = time.monotonic()
    status = ended(executor, what, handle)
    assert status == Failed(
        reason=f"the job {NAME} has ended without a result; last line: out of memory",
        device_minutes=status.device_minutes,  # type: ignore[union-attr]
    )
    assert time.monotonic() - begin >= 0.4


def test_a_queue_that_is_away_ends_no_job(tmp_path) -> None:
    executor, what = queued(tmp_path, "0.2"), job(tmp_path)
    (tmp_path / "down").touch()
    with pytest.raises(OSError, match="queue failed with exit code 3: the controller is away"):
        executor.start(what)
    (tmp_path / "down").unlink()
    handle = executor.start(what)
    (tmp_path / "down").touch()
    status = executor.poll(what, handle)
    assert isinstance(status, Running)
    assert "the controller is away" in status.words
    with pytest.raises(OSError, match="away"):
        executor.stop(what, handle)
    (tmp_path / "down").unlink()
    assert isinstance(ended(executor, what, handle), Done)


def test_a_job_is_stopped_and_the_next_attempt_waits_for_its_end(tmp_path) -> None:
    executor, first, second = queued(tmp_path, "60"), job(tmp_path), job(tmp_path, attempt=2)
    handle = executor.start(first)
    with pytest.raises(OSError, match="an earlier attempt"):
        executor.start(second)
    executor.stop(first, handle)
    assert isinstance(ended(executor, first, handle), Failed)
    executor.stop(first, handle)  # there is none any more
    assert isinstance(executor.poll(second, executor.start(second)), Running)
    executor.stop(second, {})


def test_a_start_command_may_read_a_file_with_its_fields_filled(tmp_path) -> None:
    manifest = tmp_path / "job.yaml"
    manifest.write_text("name: $name\nargs: [${folder}, '$$x', $cycle/$attempt]\n")
    executor, what = queued(tmp_path, "0", input=str(manifest)), job(tmp_path)
    assert isinstance(ended(executor, what, executor.start(what)), Done)
    expected = f"name: {NAME}\nargs: [{what.folder}, '$x', 0123456789abcdef/1]\n"
    assert (tmp_path / f"{NAME}.job/input").read_text() == expected


def test_a_command_that_hangs_is_given_up(tmp_path) -> None:
    config = CommandExecutorConfig(start=("true",), poll=("sleep", "60"), stop=("true",), timeout="100ms")
    with pytest.raises(OSError, match="sleep takes longer than 0.1 s"):
        open_executor(config).start(job(tmp_path))
    with pytest.raises(OSError, match="No such file"):
        open_executor(CommandExecutorConfig(start=("x",), poll=("/no/such",), stop=("x",))).start(job(tmp_path))


def blocking(folder: Path, *words: str) -> Executor:
    return open_executor(CommandExecutorConfig(start=(str(training(folder)), "$folder", *words), settle="100ms"))


def test_a_command_that_blocks_runs_detached_and_once(tmp_path) -> None:
    what = job(tmp_path)
    handle = blocking(tmp_path, "0.3").start(what)
    assert blocking(tmp_path, "0.3").start(what)["host"] == handle["host"]
    status = ended(blocking(tmp_path, "0.3"), what, handle)
    assert isinstance(status, Done)
    assert (what.folder / "log.txt").read_text() == "epoch 1\n"


def test_a_command_that_blocks_and_fails_is_said_with_its_last_line(tmp_path) -> None:
    executor, what = blocking(tmp_path, "0", "fail"), job(tmp_path)
    status = ended(executor, what, executor.start(what))
    assert isinstance(status, Failed)
    assert status.reason.endswith("train has ended without a result; last line: out of memory")


def test_a_command_that_blocks_is_stopped_with_all_it_started_and_nothing_else(tmp_path) -> None:
    executor, what = blocking(tmp_path, "60"), job(tmp_path)
    handle = executor.start(what)
    while not (what.folder.parent / "command").exists():
        time.sleep(0.01)
    (what.folder.parent / "owner").write_text("1 1")  # a training on another machine, whose process 1 is not ours
    with pytest.raises(OSError, match="an earlier attempt"):
        executor.start(job(tmp_path, attempt=2))
    executor.stop(what, handle)
    assert isinstance(ended(executor, what, handle), Failed)
    executor.start(job(tmp_path, attempt=2))
    executor.stop(job(tmp_path, attempt=2), {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"poll": ["squeue", "$name"]}, "poll given alone"),
        ({"stop": ["scancel", "$name"]}, "stop given alone"),
        ({"start": ["sbatch", "$nmae"]}, "no field $nmae, did you mean 'name'?"),
        ({"start": ["echo", "5$"]}, "a dollar sign itself is $$"),
        ({"poll": ["squeue"], "stop": ["scancel", "$name"]}, "poll: has no $name"),
        ({"input": "job.yaml"}, "input given without poll"),
    ],
)
def test_commands_that_cannot_work_are_refused(fields, message) -> None:
    config = msgspec.convert({"kind": "command", "start": ["sbatch", "$folder"], **fields}, ExecutorConfig)
    with pytest.raises(UsageError) as refused:
        check_executor(config)
    assert message in str(refused.value)


def test_ray_is_named_where_it_is_missing() -> None:
    if find_spec("ray") is not None:
        pytest.skip("what is said without Ray: it is installed here")
    with pytest.raises(UsageError, match=r"pip install 'ray\[default\]'"):
        open_executor(RayExecutorConfig(address="http://127.0.0.1:8265"))
