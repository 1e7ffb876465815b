"""Batches: whatever shares a call is answered as by itself."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.packaging import Package
from lightning_app.packaging.format.errors import RunError
from lightning_app.serving.config.serve_config import Batching
from lightning_app.serving.inference.batcher import Batcher
from lightning_app.serving.inference.calibration import BatchPlan, plan_batches
from lightning_app.serving.inference.errors import BusyError, DeadlineError
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import LABELS, small_package


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = small_package(tmp_path_factory.mktemp("batch") / "p", columns=None, labels=LABELS)
    return LoadedModel(Package.load(folder), name="m", version=None)


def prepared(model: LoadedModel, rows: np.ndarray) -> Prepared:
    return model.prepare(ModelRequest({"features": rows.tolist()}, len(rows)))


def ask(
    model: LoadedModel, requests: Sequence[Prepared], plan: BatchPlan, *, queue: int = 1000, seconds: float = 10.0
) -> tuple[list[Answer | BaseException], list[int]]:
    sizes: list[int] = []

    async def run() -> list[Answer | BaseException]:
        batcher = Batcher(model, plan=plan, queue=queue, observe=lambda rows, *_: sizes.append(rows))
        tasks = [batcher.answer(request, seconds=seconds) for request in requests]
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run()), sizes


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12), st.sampled_from([1, 3, 8, 64]), st.booleans(),
    st.sampled_from([0.0, 2.0]),
)  # fmt: skip
def test_each_request_gets_its_own_rows(
    model: LoadedModel, counts: list[int], max_rows: int, in_thread: bool, window_ms: float
) -> None:
    rng = np.random.default_rng(sum(counts))
    rows = [rng.standard_normal((count, 4)) for count in counts]
    plan = BatchPlan(max_rows, window_ms, in_thread)
    answers, sizes = ask(model, [prepared(model, one) for one in rows], plan)
    assert sum(sizes) == sum(counts)
    assert all(size <= max(max_rows, max(counts)) for size in sizes)
    for one, answer in zip(rows, answers, strict=True):
        assert isinstance(answer, Answer)
        expected = model.package.predict({"features": one.tolist()})
        for name, values in expected.items():
            found: Any = answer.predictions[name]
            if name == "label":
                assert found.tolist() == values.tolist()
            else:
                np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-7)


def test_requests_that_wait_together_share_a_call(model: LoadedModel) -> None:
    requests = [prepared(model, np.ones((1, 4))) for _ in range(10)]
    assert ask(model, requests, BatchPlan(64))[1] == [10]
    assert ask(model, requests, BatchPlan(4))[1] == [4, 4, 2]
    assert ask(model, requests, BatchPlan(1))[1] == [1] * 10


def test_texts_of_any_length_share_a_batch_and_are_answered_as_alone(tmp_path: Path) -> None:
    letters = LoadedModel(Package.load(stream_package(tmp_path / "letters")), name="letters", version=None)
    texts = ["ache", "a", "each a cache", "he", "he"]
    requests = [letters.prepare(ModelRequest({"text": [text]}, 1)) for text in texts]
    answers, sizes = ask(letters, requests, BatchPlan(64))
    assert sizes == [len(texts)]
    for text, answer in zip(texts, answers, strict=True):
        assert isinstance(answer, Answer)
        for name, values in letters.package.predict({"text": [text]}).items():
            found: Any = answer.predictions[name]
            np.testing.assert_allclose(found[0], values[0], rtol=1e-5, atol=1e-6)


def test_long_queues_of_short_calls_leave_the_event_loop_to_others(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = model._predictor.run

    def slow(values: Any, state: Any) -> Any:
        time.sleep(0.002)
        return run(values, state)

    monkeypatch.setattr(model._predictor, "run", slow)
    answered: list[int] = []
    seen: list[int] = []

    async def ask_all() -> None:
        batcher = Batcher(model, plan=BatchPlan(1), queue=100)

        async def one() -> None:
            await batcher.answer(prepared(model, np.ones((1, 4))), seconds=10)
            answered.append(1)

        tasks = [asyncio.create_task(one()) for _ in range(50)]
        while len(answered) < len(tasks):
            seen.append(len(answered))
            await asyncio.sleep(0)

    asyncio.run(ask_all())
    assert len(set(seen)) >= 3  # answers came in several turns


def test_a_request_that_the_model_fails_on_does_not_hurt_others(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = model._predictor.run

    def failing(values: Any, state: Any) -> Any:
        if (values["features"] == 7).any():
            raise RunError("the model fails on it")
        return run(values, state)

    monkeypatch.setattr(model._predictor, "run", failing)
    rows = [np.full((2, 4), value) for value in (1.0, 7.0, 3.0)]
    answers, _ = ask(model, [prepared(model, one) for one in rows], BatchPlan(64))
    assert [type(answer) for answer in answers] == [Answer, RunError, Answer]


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_full_queue_refuses_and_late_answers_are_not_given(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, in_thread: bool
) -> None:
    requests = [prepared(model, np.ones((1, 4))) for _ in range(5)]
    answers, _ = ask(model, requests, BatchPlan(64, in_thread=in_thread), queue=3)
    assert [type(answer) for answer in answers] == [Answer] * 3 + [BusyError] * 2
    answers, _ = ask(model, requests, BatchPlan(64, 100.0, in_thread), seconds=0.01)
    assert [type(answer) for answer in answers] == [DeadlineError] * 5


@pytest.mark.parametrize(
    ("seconds_of", "expected"),
    [
        (lambda rows: 1e-5 * rows, (1, 0.0, False)),  # a row costs the same in any batch
        (lambda rows: 1e-4 + 1e-6 * rows, (128, 0.0, False)),
        (lambda rows: 2e-3 + 1e-3 * rows, (16, 0.0, True)),  # no call of more than 25 ms is planned
        (lambda rows: 2e-2 + 1e-3 * rows, (4, 2.1, True)),  # slow: a tenth of a call is waited
    ],
)
def test_the_plan_follows_the_measured_curve(
    monkeypatch: pytest.MonkeyPatch, seconds_of: Any, expected: tuple[int, float, bool]
) -> None:
    now = [0.0]

    def call(values: Any) -> None:
        now[0] += seconds_of(len(values["x"]))

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("lightning_app.serving.inference.calibration._BUDGET", 1e9)
    plan = plan_batches(call, {"x": np.ones((1, 4))}, "auto")
    assert (plan.max_rows, round(plan.window_ms, 3), plan.in_thread) == expected
    off = plan_batches(call, {"x": np.ones((1, 4))}, "off")
    assert (off.max_rows, off.window_ms) == (1, 0.0)
    assert plan_batches(call, {"x": np.ones((1, 4))}, Batching(max_rows=7)).max_rows == 7


def test_versions_never_share_a_batch(tmp_path: Path, model: LoadedModel) -> None:
    other = LoadedModel(
        Package.load(small_package(tmp_path / "q", columns=None, labels=LABELS, seed=1)), name="m", version=2
    )

    async def run() -> list[str]:
        batchers = [Batcher(one, plan=BatchPlan(64), queue=9) for one in (model, other)]
        rows = np.ones((1, 4))
        answers = await asyncio.gather(
            *(batchers[number % 2].answer(prepared(batchers[number % 2].model, rows), seconds=9) for number in range(8))
        )
        return [str(answer.predictions["probabilities"]) for answer in answers]

    found = asyncio.run(run())
    assert set(found[0::2]).isdisjoint(found[1::2])
