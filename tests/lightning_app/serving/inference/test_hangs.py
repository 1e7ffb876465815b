"""Calls that never end: they are stopped or left behind, and the others go on."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from lightning_app.packaging import Package
from lightning_app.serving.inference.batcher import Batcher
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.call_thread import MOST_STUCK
from lightning_app.serving.inference.errors import HangError
from lightning_app.serving.inference.hangs import HangLimit, LoopWatch, hang_bounds
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from tests.lightning_app.serving.model_packages import looping_package

FINE, ENDLESS = (1.0, 2.0), (2000.0, 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = looping_package(tmp_path_factory.mktemp("hangs") / "p")
    return LoadedModel(Package.load(folder), name="sum", version=None)


@pytest.fixture(scope="module")
def watch() -> LoopWatch:
    return LoopWatch()


def prepared(model: LoadedModel, row: tuple[float, float]) -> Prepared:
    return model.prepare(ModelRequest({"a": [row[0]], "b": [row[1]]}, 1))


@pytest.mark.parametrize("in_thread", [False, True])
def test_an_endless_call_of_a_real_graph_is_stopped_and_the_next_ones_are_answered(
    model: LoadedModel, watch: LoopWatch, in_thread: bool
) -> None:
    hangs: list[float] = []
    limit = HangLimit(0.1, 0.0, watch, lambda: None, lambda seconds, *, is_on_loop: hangs.append(seconds))

    async def ask() -> list[object]:
        batcher = Batcher(model, plan=BatchPlan(1, in_thread=in_thread), queue=9, limit=limit)
        answers: list[object] = []
        for row in (FINE, ENDLESS, FINE, ENDLESS, FINE):
            answers += await asyncio.gather(batcher.answer(prepared(model, row), seconds=5), return_exceptions=True)
        await asyncio.sleep(0.1)
        assert batcher.num_stuck == 0  # the graph looks whether it shall stop in each turn
        return answers

    begin = time.monotonic()
    answers = asyncio.run(ask())
    assert [type(answer) for answer in answers] == [Answer, HangError, Answer, HangError, Answer]
    assert time.monotonic() - begin < 2
    assert hangs == [0.1, 0.1]


def test_threads_that_nothing_stops_are_left_behind_and_their_number_is_bounded(
    model: LoadedModel, watch: LoopWatch
) -> None:
    ends = threading.Event()

    def hang(requests: Sequence[Prepared]) -> list[Answer | Exception]:
        ends.wait(30)
        return model.answer(requests)

    async def ask() -> None:
        limit = HangLimit(0.02, 0.0, watch, lambda: None, lambda _, *, is_on_loop: None)
        batcher = Batcher(model, plan=BatchPlan(1, in_thread=True), queue=99, limit=limit, answer=hang)
        for _ in range(MOST_STUCK):
            with pytest.raises(HangError):
                await batcher.answer(prepared(model, FINE), seconds=5)
        assert batcher.num_stuck == MOST_STUCK
        begin = time.monotonic()
        with pytest.raises(HangError):  # not called at all
            await batcher.answer(prepared(model, FINE), seconds=5)
        assert time.monotonic() - begin < 0.02
        ends.set()
        while batcher.num_stuck:
            await asyncio.sleep(0.01)
        assert isinstance(await batcher.answer(prepared(model, FINE), seconds=5), Answer)

    asyncio.run(ask())


def test_the_limit_grows_with_the_rows_of_a_call_and_shrinks_with_the_deadline(watch: LoopWatch) -> None:
    plan = BatchPlan(64, curve={1: 1e-3, 64: 4e-3})
    least, per_row = hang_bounds(plan, hang_ms=None, deadline_ms=10_000)
    assert (least, round(per_row, 9)) == (1.0, 0.00125)
    assert hang_bounds(plan, hang_ms=None, deadline_ms=300)[0] == pytest.approx(0.08)
    assert hang_bounds(plan, hang_ms=250, deadline_ms=300) == (0.25, 0.0)
    limit = HangLimit(1.0, 0.001, watch, lambda: None, lambda _, *, is_on_loop: None)
    assert (limit.of(1), limit.of(10_000)) == (1.0, 10.0)
