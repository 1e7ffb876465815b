"""Ray engine: predicts the parts of a table with Ray Data, on this machine or on a cluster."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lightning_app.errors import UsageError
from lightning_app.module_search import ROOT
from lightning_app.scoring.answering import Answerer, AnswerPlan
from lightning_app.scoring.engines import PART_ROWS
from lightning_app.scoring.tables import TableFiles

_BLOCK_BYTES = 8 << 20
_READING_CPUS = 0  # actors may use all CPUs; with equal resources Ray would also fuse reading and predicting


class RayEngine:
    """Pool of Ray actors with one single-threaded session each, on this machine or on the cluster at `RAY_ADDRESS`.

    The tables must have the same paths on every machine of the cluster; the package is sent there.

    Args:
        workers: Number of actors.
    """

    def __init__(self, *, workers: int) -> None:
        self.workers = workers

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """Yields answers in the order of the rows.

        Args:
            plan: What to read and to write.
            files: The table.
            first: Number of the first row to predict; earlier rows of its file are predicted again and dropped.
        """
        data = _ray_data()
        paths, left_out = files.from_row(first)
        if not paths:
            return
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK_BYTES  # splits a file across all actors
        logging.getLogger("ray.data").setLevel(logging.ERROR)

        def read(batch: dict[str, Any]) -> Iterator[pa.Table]:
            for path in batch["path"]:
                yield from files.read(Path(str(path)), PART_ROWS)

        answers = (
            data.from_items([{"path": str(path)} for path in paths], override_num_blocks=len(paths))
            .map_batches(read, batch_size=1, num_cpus=_READING_CPUS)
            .map_batches(
                Answerer,
                fn_constructor_args=(plan,),
                batch_format="pyarrow",
                batch_size=PART_ROWS,
                compute=data.ActorPoolStrategy(min_size=1, max_size=self.workers),
                zero_copy_batch=True,
            )
        )
        for answer in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            if left_out < len(answer):
                yield answer.slice(left_out)
            left_out = max(0, left_out - len(answer))


def _ray_data() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError("engine: ray is not installed: pip install 'lightning-r2p[scale]'") from error
    if not ray.is_initialized():
        # Workers must import this checkout, wherever the command was started. Ray reads RAY_ADDRESS itself.
        paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
        )
    return ray.data
