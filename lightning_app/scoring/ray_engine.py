"""Parts of a table answered by Ray Data, on this machine or on a cluster."""

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
_READING_CPUS = 0  # actors may have taken all; and not what they need, or Ray would read and answer in one actor


class RayEngine:
    """A pool of Ray actors, each with a session of one thread, on this machine or on the cluster at `RAY_ADDRESS`.

    Tables must lie under the same paths on every machine of the cluster; the package is sent there.

    Args:
        workers: Actors.
    """

    def __init__(self, *, workers: int) -> None:
        self.workers = workers

    def answers(self, plan: AnswerPlan, files: TableFiles, first: int) -> Iterator[pa.Table]:
        """Answers in the order of the rows.

        Args:
            plan: What an answer holds.
            files: The table.
            first: Rows before this one are left out; of the file that it lies in, they are answered again.
        """
        data = _ray_data()
        paths, left_out = files.from_row(first)
        if not paths:
            return
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK_BYTES  # a file is answered by all actors, not by the one that reads it
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
        # Workers import the code that is here, wherever the command was started; RAY_ADDRESS is Ray's own affair.
        paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
        )
    return ray.data
