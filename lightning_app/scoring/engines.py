"""Scoring engines: run an `Answerer` over the parts of a table; threads here, Ray in `ray_engine`."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import pyarrow as pa

from lightning_app.scoring.answering import Answerer, AnswerPlan
from lightning_app.scoring.tables import TableFiles

PART_ROWS = 16_384


class Engine(Protocol):
    """Predicts a table part by part."""

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """Yields answers in the order of the rows.

        Args:
            plan: What to read and to write.
            files: The table.
            first: Number of the first row to predict.
        """


class LocalEngine:
    """Threads of this process, each with a single-threaded ONNX Runtime session; reading and writing overlap with them.

    Args:
        workers: Number of threads.
    """

    def __init__(self, *, workers: int) -> None:
        self.workers = workers

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """Yields answers; see `Engine`."""
        own = threading.local()

        def answer(table: pa.Table) -> pa.Table:
            if not hasattr(own, "answerer"):
                own.answerer = Answerer(plan)
            return own.answerer(table)

        waiting: deque[Future[pa.Table]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for part in files.parts(PART_ROWS, first=first):
                waiting.append(pool.submit(answer, part.table))
                if len(waiting) > 2 * self.workers:  # bounds the parts in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
