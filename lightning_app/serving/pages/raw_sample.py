"""Raw sample of a package: rows as a client has them, rebuilt from the inputs of the graph in its reference sample."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging import Package
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.runtime.raw_kinds.text_tokens import TOKEN_IDS
from lightning_app.packaging.runtime.sample import read_sample
from lightning_app.serving.pages.known_values import known_values

if TYPE_CHECKING:
    import polars as pl

    from features.graphs.spec import GraphSpec
    from features.series.panel_spec import PanelSpec
    from features.series.spec import SeriesSpec

_MOST_CHARACTERS = 500
_SOME_TIME = datetime(2024, 6, 28)
"""Time of samples whose reference has none."""


def raw_sample(package: Package) -> dict[str, Any] | None:
    """A JSON body of raw rows.

    Args:
        package: A loaded package.

    Returns:
        The body; None if the package takes no raw rows. Whether the package answers it is for the caller to see: a rule
        of a contract may refuse it.
    """
    spec = package.manifest.raw_input
    if spec is None:
        return None
    reference = read_sample(package.path)
    preparation: Any = package.predictor.raw_input
    if spec.kind == "series":
        return {"records": _series_rows(preparation.spec, reference)}
    if spec.kind == "panel":
        return {"records": _panel_rows(preparation.spec, reference)}
    if spec.kind == "graphs":
        return {"tables": _graph_tables(preparation.spec, reference)}
    return {"records": [_row(package, reference)]}


def _series_rows(spec: "SeriesSpec", reference: "pl.DataFrame") -> list[dict[str, Any]]:
    """One window of the reference, and the rows of its horizon where covariates of the future are read."""
    import polars as pl

    row = reference[len(reference) - 1]
    names = [*spec.targets, *spec.past_covariates]
    past = np.concatenate([_cell(row, "past"), *([_cell(row, "past_covariates")] if spec.past_covariates else [])], 1)
    series = next(iter(spec.scales), None)
    if series is not None:  # windows of a long table are in units of their series
        past = past * spec.scales[series].std + spec.scales[series].mean
    num_ahead = spec.horizon if spec.future_covariates else 0
    steps = np.arange(1 - spec.look_back, num_ahead + 1)
    origin = row["origin"].cast(pl.Datetime("us"))[0] if "origin" in row.columns else _SOME_TIME
    times = _times(origin, steps, spec.frequency or "1d", spec.time_zone)
    columns: dict[str, list[Any]] = {}
    if spec.time_parts:
        texts = [text.split(" ") for text in times.dt.strftime(spec.time_format or "%Y-%m-%d %H")]
        columns.update((part, [text[place] for text in texts]) for place, part in enumerate(spec.time_parts))
    else:
        columns[spec.time_column] = _time_texts(times, spec.time_format)
    if spec.id_column is not None:
        columns[spec.id_column] = [series or "A"] * len(steps)
    for place, name in enumerate(names):
        columns[name] = [*_numbers(past[:, place]), *[None] * num_ahead]
    for place, name in enumerate(spec.future_covariates):
        columns[name] = _numbers(_cell(row, "future_covariates")[:, place])
    for attribute in spec.static_attributes:
        value = attribute.mean if attribute.vocabulary is None else attribute.vocabulary[0]
        columns[attribute.column] = [value] * len(steps)
    return _records(columns)


def _panel_rows(spec: "PanelSpec", reference: "pl.DataFrame") -> list[dict[str, Any]]:
    """A smooth series around 100: the reference holds what the model reads of prices, not the prices."""
    import polars as pl

    count = max(spec.context, spec.warm_up) + 1
    steps = np.arange(count)
    days = np.busday_offset(np.datetime64(_SOME_TIME, "D"), steps - count + 1, roll="backward")
    times = pl.Series("time", days.astype("datetime64[us]"))
    if spec.frequency not in (None, "weekdays"):
        times = _times(_SOME_TIME, steps - count + 1, spec.frequency or "1d", None)
    if spec.time_zone is not None:
        times = times.dt.replace_time_zone("UTC")
    columns: dict[str, list[Any]] = {spec.columns.time_column: _time_texts(times, spec.columns.time_format)}
    if spec.columns.id_column is not None:
        name = reference["series"][0] if "series" in reference.columns else "A"
        columns[spec.columns.id_column] = [name] * count
    for place, name in enumerate(spec.columns.value_columns):
        wave = 100 + 2 * np.sin(steps / 9 + place) + 0.5 * np.sin(1.7 * steps)
        columns[name] = np.round(wave, 2).tolist()
    return _records(columns)


def _graph_tables(spec: "GraphSpec", reference: "pl.DataFrame") -> dict[str, Any]:
    row = reference[0]
    features = np.array(row["x"][0].to_list(), dtype=np.float32)
    edges = np.array(row["edge_index"][0].to_list(), dtype=np.int64).reshape(-1, 2)
    graph = {} if spec.graph is None else {spec.graph: "1"}
    nodes = [
        {**graph, spec.id: str(index), **dict(zip(spec.features, _numbers(values), strict=True))}
        for index, values in enumerate(features)
    ]
    if not spec.directed:  # the reference has each edge in both directions
        edges = edges[edges[:, 0] <= edges[:, 1]]
    weight = {} if spec.weight is None else {spec.weight: 1.0}
    pairs = [
        {**graph, spec.source: str(source), spec.target: str(target), **weight} for source, target in edges.tolist()
    ]
    return {"nodes": {"records": nodes}, "edges": {"records": pairs}}


def _row(package: Package, reference: "pl.DataFrame") -> dict[str, Any]:
    """One row of values that training has seen; without the time where an online store answers as of now."""
    assert package.manifest.raw_input is not None
    known = {name: of.example for name, of in known_values(package).items()}
    known = {**_first_texts(package, reference), **known}
    return {
        column.name: known[column.name] if column.name in known else _any_value(column, reference)
        for column in package.manifest.raw_input.columns
        if column.required or column.role != "time"
    }


def _first_texts(package: Package, reference: "pl.DataFrame") -> dict[str, str]:
    """The longest text of the reference, under the first of the columns that it may have been joined from."""
    raw_input, spec = package.predictor.raw_input, package.manifest.raw_input
    tokenizer = getattr(raw_input, "tokenizer", None)
    if spec is None or tokenizer is None or TOKEN_IDS not in reference.columns or not len(reference):
        return {}
    columns = [column.name for column in spec.columns if column.type == "text"]
    pipeline: Any = getattr(raw_input, "pipeline", None)
    if pipeline is not None:
        (name,) = pipeline.layout.texts
        full = next(full for full, column in pipeline.columns.items() if column == name)
        columns = pipeline.definitions.feature(full).plain
    text = tokenizer.decode(max(reference[TOKEN_IDS].to_list(), key=len))[:_MOST_CHARACTERS]
    return {column: "" if place else text for place, column in enumerate(columns)}


def _any_value(column: RawColumn, reference: "pl.DataFrame") -> Any:
    if column.name in reference.columns and len(reference):
        value = reference[column.name][0]
        if isinstance(value, int | float | str | bool):
            return value
    if column.type == "timestamp":
        time_format = column.unit if column.unit and "%" in column.unit else "%Y-%m-%dT%H:%M:%S"
        return _SOME_TIME.strftime(time_format)
    return {"number": 1.0, "whole number": 1, "boolean": True, "text": "1"}[column.type]


def _cell(row: "pl.DataFrame", name: str) -> np.ndarray:
    return np.array(row[name][0].to_list(), dtype=np.float32)


def _numbers(values: np.ndarray) -> list[float]:
    """Numbers with the fewest digits that give the same float32."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _times(origin: datetime, steps: np.ndarray, frequency: str, zone: str | None) -> "pl.Series":
    import polars as pl

    start = pl.Series("time", [origin] * len(steps), dtype=pl.Datetime("us"))
    count = "".join(letter for letter in frequency if letter.isdigit())
    unit = frequency.removeprefix(count)
    offsets = pl.Series([f"{int(step) * int(count or 1)}{unit}" for step in steps])
    times = start.dt.offset_by(offsets)
    return times if zone is None else times.dt.replace_time_zone("UTC")


def _time_texts(times: "pl.Series", time_format: str | None) -> list[str]:
    if time_format is not None:
        return times.dt.strftime(time_format).to_list()
    zone = "%:z" if getattr(times.dtype, "time_zone", None) else ""
    whole_days = (times.dt.truncate("1d") == times).all() and not zone
    return times.dt.strftime("%Y-%m-%d" if whole_days else f"%Y-%m-%dT%H:%M:%S{zone}").to_list()


def _records(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
