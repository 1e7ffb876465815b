"""Monitored rows of packages that are asked by the inputs of their graph: the default of exporters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lightning_app.packaging.export.batches import Arrays
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.row_ids import node_inputs

_EDGES = "edge_index"
"""Of layout `graphs`: it names nodes of its own graph."""
Place = tuple[str, int | None]
"""An input, and the position along its last axis; None for all of it."""


def rows_of_inputs(predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
    """Rows whose requests are the inputs of the graph, by named columns where an input has them.

    Args:
        predictor: Of the package.
        held_out: The rows.
    """
    places = _places(predictor.inputs)
    names = {*node_inputs(predictor.manifest), *([_EDGES] if predictor.manifest.layout == "graphs" else [])}
    shuffled = [name for name, (source, _) in places.items() if source not in names]
    return MonitoredRows(
        requests=_requests(held_out.request, places),
        answers=named_answers(predictor, held_out.answer),
        outcome=outcome_of(held_out.targets),
        shuffled=shuffled,
        ask_changed=ShuffledInputs(predictor, held_out, places, lambda answer, _: named_answers(predictor, answer)),
    )


def named_answers(predictor: Predictor, answer: Arrays) -> pl.DataFrame:
    """Answers as a server gives them: the likeliest class by name beside the outputs.

    Args:
        predictor: Of the package.
        answer: By output.
    """
    table: pl.DataFrame = predictor.finish(dict(answer), {}, is_frame=True)
    return as_journalled(table)


def outcome_of(targets: Arrays) -> pl.Series | None:
    """The column of targets; None if there is none, or if there are those of several labels.

    Args:
        targets: By name, rows first.
    """
    if not targets or any(name.startswith("target.") for name in targets):
        return None
    name, values = next(iter(targets.items()))
    return as_journalled(write_frame({name: values})).to_series().alias("outcome")


@dataclass(frozen=True)
class ShuffledInputs:
    """Asks rows again by the inputs of the graph, with values of one column shuffled.

    Attributes:
        predictor: Of the package.
        held_out: The rows.
        places: Where a column of the requests is among the inputs.
        named: Gives answers their form, from outputs and keys of rows.
    """

    predictor: Predictor
    held_out: HeldOutRows
    places: Mapping[str, Place]
    named: Callable[[Arrays, np.ndarray], pl.DataFrame]

    def __call__(self, rows: np.ndarray, column: str, rng: np.random.Generator) -> pl.DataFrame:
        """See `AskChanged`."""
        part = self.held_out.at(rows)
        source, place = self.places[column]
        request = {**part.request, source: _shuffled(part.request[source], place, rng)}
        answer = self.predictor.predict(request)
        return self.named({name: answer[name] for name in part.answer}, part.rows)


def _places(inputs: Sequence[TensorSpec]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for spec in inputs:
        if spec.columns is not None and len(spec.shape) == 2:
            places |= {name: (spec.name, position) for position, name in enumerate(spec.columns)}
        else:
            places[spec.name] = (spec.name, None)
    return places


def _requests(request: Arrays, places: Mapping[str, Place]) -> pl.DataFrame:
    columns: dict[str, np.ndarray | list[np.ndarray]] = {}
    for name, (source, position) in places.items():
        values = request[source]
        columns[name] = values[:, position] if position is not None and isinstance(values, np.ndarray) else values
    return as_journalled(write_frame(columns))


def _shuffled(
    values: np.ndarray | list[np.ndarray], place: int | None, rng: np.random.Generator
) -> np.ndarray | list[np.ndarray]:
    """Values of one column in another order of rows; of rows of different sizes, all their elements mixed."""
    if isinstance(values, np.ndarray):
        order = rng.permutation(len(values))
        if place is None:
            return values[order]
        changed = values.copy()
        changed[..., place] = values[order][..., place]
        return changed
    whole = np.concatenate(values).copy()
    mixed = whole if place is None else whole[..., place]
    mixed[...] = mixed[rng.permutation(len(whole))]
    ends = np.cumsum([len(row) for row in values])[:-1]
    return np.split(whole, ends)
