"""Where parts of a table are answered: here by threads of this process, see `ray_engine` for clusters."""

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
    """Answers a table part by part."""

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """Answers in the order of the rows.

        Args:
            plan: What an answer holds.
            files: The table.
            first: Rows before this one are left out.
        """


class LocalEngine:
    """As many ONNX Runtime sessions of one thread as there are workers; reading and writing go on meanwhile.

    Args:
        workers: Sessions.
    """

    def __init__(self, *, workers: int) -> None:
        self.workers = workers

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """As of `Engine`."""
        own = threading.local()

        def answer(table: pa.Table) -> pa.Table:
            if not hasattr(own, "answerer"):
                own.answerer = Answerer(plan)
            return own.answerer(table)

        waiting: deque[Future[pa.Table]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for part in files.parts(PART_ROWS, first=first):
                waiting.append(pool.submit(answer, part.table))
                if len(waiting) > 2 * self.workers:  # no more than this is held at a time
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
