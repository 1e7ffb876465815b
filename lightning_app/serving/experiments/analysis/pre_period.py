"""Pre-period: what each key did before the experiment, for CUPED (Deng et al., 2013)."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from lightning_app.serving.config.experiment_config import Key
from lightning_app.serving.experiments.analysis.journal_rows import key_name
from lightning_app.serving.journal.stores.database import JournalDatabase

_AT_ONCE = 20_000


class PrePeriod(Struct, kw_only=True):
    """Mean value of each key before the experiment.

    Attributes:
        source: Where the values are from, for people.
        values: By key.
        num_left_out: Rows of a file without a number.
        num_repeated: Rows of a file with a key that an earlier row has; the mean of all is taken.
    """

    source: str
    values: dict[str, float]
    num_left_out: int = 0
    num_repeated: int = 0


def pre_period_of_journal(database: JournalDatabase, *, model: str, key: Key, before: float) -> PrePeriod:
    """Mean reward of each key before a time; if there is no reward at all, its mean numeric outcome.

    Only what was known before the experiment counts: the experiment may have changed what came later.

    Args:
        database: Database of the journal.
        model: Name of the model.
        key: What arms are chosen for.
        before: Begin of the experiment, Unix seconds.
    """
    statement = (
        f"SELECT {key_name(database, key)}, o.reward, o.outcome FROM {database.answered} AS p "
        f"JOIN {database.table('outcomes')} AS o ON o.request_id = p.request_id "
        "WHERE p.model = ? AND p.time < ? AND o.time < ?"
    )
    rewards: dict[str, list[float]] = {}
    outcomes: dict[str, list[float]] = {}
    for part in database.stream(statement, (model, before, before), at_once=_AT_ONCE):
        for name, reward, outcome in part:
            number = _number(outcome) if reward is None else float(reward)
            if number is not None and name is not None:
                total = (outcomes if reward is None else rewards).setdefault(name, [0.0, 0.0])
                total[0] += number
                total[1] += 1
    kind, totals = ("rewards", rewards) if rewards else ("outcomes", outcomes)
    values = {key: total / count for key, (total, count) in totals.items()}
    return PrePeriod(source=f"{kind} of {model} in the journal before the experiment", values=values)


def pre_period_of_file(path: Path, columns: tuple[str, str] | None) -> PrePeriod:
    """Values of a Parquet or CSV file.

    Args:
        path: The file.
        columns: Its column of keys and its column of values; None takes the first two.

    Raises:
        ValueError: It cannot be read, lacks the columns, or has values that are no numbers.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"pre-period: {str(path)!r} given, a file that ends in .parquet or .csv is needed")
    if not path.is_file():
        raise ValueError(f"pre-period: {path} does not exist")
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except pa.ArrowException as error:
        raise ValueError(f"pre-period: {path} cannot be read: {error}") from error
    names = list(columns or table.column_names[:2])
    missing = [name for name in names if name not in table.column_names]
    if missing or len(names) < 2:
        given = ", ".join(table.column_names) or "no columns"
        raise ValueError(f"pre-period: {path} has {given}; a column of keys and one of values are needed")
    kind = table.schema.field(names[1]).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"pre-period: column {names[1]!r} of {path} is {kind}, numbers are needed")
    totals: dict[str, list[float]] = {}
    num_left_out = 0
    for batch in table.select(names).to_batches(max_chunksize=_AT_ONCE):
        for key, value in zip(*(batch.column(place).to_pylist() for place in range(2)), strict=True):
            if key is None or value is None or not np.isfinite(value):
                num_left_out += 1
                continue
            total = totals.setdefault(str(key), [0.0, 0.0])
            total[0] += float(value)
            total[1] += 1
    return PrePeriod(
        source=str(path), values={key: total / count for key, (total, count) in totals.items()},
        num_left_out=num_left_out, num_repeated=int(sum(count - 1 for _, count in totals.values())),
    )  # fmt: skip


def values_before(names: list[str | None], values: dict[str, float], mean: float) -> tuple[Any, Collection[str]]:
    """Values of keys less the mean, 0 where there is none, and the keys that have one.

    Args:
        names: Name of the key of each row.
        values: By key.
        mean: Mean of the values.
    """
    matched = {name for name in names if name is not None and name in values}
    centred = [values[name] - mean if name in matched and name is not None else 0.0 for name in names]
    return np.array(centred, np.float64), matched


def _number(outcome: str | None) -> float | None:
    if outcome is None:
        return None
    value = msgspec.json.decode(outcome)
    if isinstance(value, bool | int | float):
        return float(value)
    return None
