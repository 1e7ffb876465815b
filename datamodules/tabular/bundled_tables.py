"""Bundled tables: the small data sets inside scikit-learn, which need no download, as `sklearn:NAME`."""

import re
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from features.definitions.messages import nearest

_PREFIX = "sklearn:"
_NAMES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def is_bundled(path: str | Path) -> bool:
    """Whether a path names a bundled table, `sklearn:wine`."""
    return str(path).startswith(_PREFIX)


def bundled_table(path: str | Path, *, key: str) -> pl.DataFrame:
    """A bundled table: its numbers, in columns named in lower case with underscores, and the column `target`.

    `target` is the name of the class, or the number.

    Args:
        path: `sklearn:NAME`.
        key: Config key, for messages.

    Raises:
        ValueError: There is no such table.
        ModuleNotFoundError: scikit-learn is not installed.
    """
    name = str(path).removeprefix(_PREFIX)
    if name not in _NAMES:
        raise ValueError(
            f"{key}: {path} given, scikit-learn brings {', '.join(_PREFIX + one for one in _NAMES)}"
            f"{nearest(name, _NAMES)}"
        )
    if find_spec("sklearn") is None:
        raise ModuleNotFoundError(f"{key}: {path} travels inside scikit-learn: pip install scikit-learn")
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    columns = [re.sub(r"\W+", "_", str(column).lower()).strip("_") for column in bunch.feature_names]
    table = pl.DataFrame(bunch.data, schema=columns, orient="row")
    names = getattr(bunch, "target_names", None)
    target = bunch.target if names is None else [str(names[index]) for index in bunch.target]
    return table.with_columns(pl.Series("target", target))
