"""Split repeats: the options that `compare --splits` adds to each fit."""

import inspect
from collections.abc import Sequence
from typing import Any

from lightning_app.cli.data_section import read_data
from lightning_app.errors import UsageError


def split_repeats(config: str, options: Sequence[str], *, count: int) -> list[list[str]]:
    """Options of each repetition of a fit on another split.

    Splits with an `index` take 0 to `count` - 1; those drawn with a `seed` take that many seeds, from theirs on.

    Args:
        config: Config file.
        options: Further options of each fit.
        count: Number of splits.

    Raises:
        UsageError: The split has neither.
    """
    split = getattr(read_data(config, options), "split", None)
    kind: Any = type(split)
    parameters = inspect.signature(kind.__init__).parameters
    if "index" in parameters:
        return [["--data.split.init_args.index", str(index)] for index in range(count)]
    if "seed" in parameters:
        first = getattr(split, "seed", None) or 0  # None: that of the run
        return [["--data.split.init_args.seed", str(first + number)] for number in range(count)]
    what = "has no data.split" if split is None else f"is split by {_described(split)}, which is always the same split"
    raise UsageError(
        f"splits: {config} {what}; take --seeds, or a data.split with an index or a seed, such as RandomNodeSplit"
    )


def _described(split: object) -> str:
    return str(list(split)) if isinstance(split, list | tuple) else type(split).__name__
