"""Monitored rows of packages that stream series of a panel: a row is the request for the forecasts of one time."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from datamodules import PanelDataModule
from datamodules.streams.panel_source import RawPanel
from features.series.panel import trajectory_table
from features.series.regularize import timestamps
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import named_answers, outcome_of
from lightning_app.packaging.monitored.lists import listed, ranges
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor


def panel_rows(
    held_out: HeldOutRows, *, data: PanelDataModule, panel: RawPanel, levels: Sequence[float]
) -> MonitoredRows:
    """A row per series and origin of a long panel, per origin of a wide one, whose requests have all series.

    Args:
        held_out: Forecasts, by the rows of their origins.
        data: Where the series come from.
        panel: Its table.
        levels: Levels of the quantiles.
    """
    columns = panel.columns
    names, origins = data.row_ids(held_out.rows)
    order = np.lexsort((np.array(names), origins))
    held_out, origins = held_out.at(order), origins[order]
    names = [names[place] for place in order]
    new = np.ones(len(order), dtype=bool)
    if columns.id_column is None:  # the answers of one time are of one request
        new[1:] = origins[1:] != origins[:-1]
    first = np.flatnonzero(new)
    sizes = np.diff(np.append(first, len(order)))
    horizon = np.asarray(held_out.answer["forecast"]).shape[1]
    answers = trajectory_table(
        names=names,
        origins=origins,
        volatility=np.asarray(held_out.answer["volatility"]),
        forecast=np.asarray(held_out.answer["forecast"]),
        levels=levels,
        time_zone=data.panel.time_zone,
        frequency=data.panel.frequency,
    )
    outcome = pl.DataFrame({"outcome": np.asarray(held_out.targets["target"]).reshape(-1).astype(np.float64)})
    asked = [names[place] for place in first] if columns.id_column is not None else None
    return MonitoredRows(
        requests=_requests(panel, asked, origins[first], num_rows=data.context + 1),
        answers=as_journalled(listed(answers, sizes * horizon)),
        outcome=as_journalled(listed(outcome, sizes * horizon)).to_series(),
        times=origins[first],
    )


def value_rows(predictor: Predictor, held_out: HeldOutRows, *, data: PanelDataModule) -> MonitoredRows:
    """A row per series and origin, without a table: the last values, as `values`.

    Args:
        predictor: Of the package.
        held_out: Forecasts, by the rows of their origins.
        data: Where the series come from.
    """
    rows = held_out.rows
    _, origins = data.row_ids(rows)
    values = np.concatenate([ticker.values for ticker in data.tickers])
    starts = data.offsets[np.searchsorted(data.offsets, rows, side="right") - 1]
    firsts = np.maximum(starts, rows - data.context)
    history = pl.DataFrame({"values": values[ranges(firsts, rows + 1)]})
    return MonitoredRows(
        requests=listed(history, rows + 1 - firsts),
        answers=named_answers(predictor, held_out.answer),
        outcome=outcome_of(held_out.targets),
        times=origins,
    )


def _requests(panel: RawPanel, names: list[str] | None, origins: np.ndarray, *, num_rows: int) -> pl.DataFrame:
    """The last rows up to each origin, of the series that is asked, or of the whole table."""
    columns = panel.columns
    times = timestamps(panel.frame, name="panel", column=columns.time_column, time_format=columns.time_format)
    frame = panel.frame.select(columns.names).with_columns(times.alias(columns.time_column))
    key = [] if columns.id_column is None else [pl.col(columns.id_column).cast(pl.String)]
    frame = frame.sort([*key, pl.col(columns.time_column)], maintain_order=True)
    moments = frame[columns.time_column].to_numpy()
    bounds = {"": (0, len(frame))}
    if columns.id_column is not None:
        ids = frame[columns.id_column].cast(pl.String)
        starts = np.flatnonzero((ids != ids.shift(1)).fill_null(value=True).to_numpy())
        ends = np.append(starts[1:], len(frame))
        bounds = {
            ids[int(start)]: (int(start), int(end)) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        }
    places = [bounds[name] for name in names] if names is not None else [bounds[""]] * len(origins)
    lasts = np.array(
        [start + np.searchsorted(moments[start:end], at, side="right") for (start, end), at in zip(places, origins)]  # noqa: B905
    )
    firsts = np.maximum(np.array([start for start, _ in places]), lasts - num_rows)
    return as_journalled(listed(frame[ranges(firsts, lasts)], lasts - firsts))
