"""Answers: predictions as JSON, in the form of the request, or as an Arrow or Parquet table."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.serving.http.bodies import ARROW_FILE, ARROW_STREAM, JSON, PARQUET
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Predictions

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass

_MOST_NOTES = 4096
"""Length of the header, in characters."""
_encode = msgspec.json.Encoder().encode


def encode_answer(
    answer: Answer,
    model: LoadedModel,
    *,
    media_type: str,
    orient: Literal["records", "columns"],
    arm: str,
    request_id: str,
    digits: int | None = None,
    state: str | None = None,
) -> bytes:
    """Body of an answer.

    Args:
        answer: The answer.
        model: The version that answered.
        media_type: Media type of the body.
        orient: How JSON is written: a list of records, or an object of columns.
        arm: Arm that answered.
        request_id: Id of the request.
        digits: Significant digits of numbers; None keeps all.
        state: State after the request, as text; None leaves it out.
    """
    predictions, notes = answer.predictions, answer.notes
    if digits is not None:
        predictions = rounded(predictions, digits)
    if media_type != JSON:
        return _table(predictions, media_type)
    columns, not_finite = _columns(predictions)
    if not_finite:
        notes = [*notes, f"{', '.join(not_finite)}: some numbers are not finite, answered as null"]
    content: dict[str, Any] = {
        "model": model.name,
        "version": model.version,
        "digest": model.digest,
        "arm": arm,
        "request_id": request_id,
        "predictions": columns if orient == "columns" else _records(columns),
        "notes": notes,
    }
    if answer.degraded is not None:
        content["degraded"] = answer.degraded
    if state is not None:
        content["state"] = state
    return _encode(content)


def notes_header(notes: Sequence[str]) -> bytes:
    """Header `X-Notes` of an answer whose body is a table: a JSON list, in ASCII without semicolons.

    The journal keeps the header as a parameter of the media type, which a semicolon would end.

    Args:
        notes: Notes of the answer.
    """
    header = json.dumps(list(notes))
    if len(header) > _MOST_NOTES:
        header = json.dumps([f"{len(notes)} notes, too long for a header: ask for JSON"])
    return header.replace(";", "\\u003b").encode()


def _records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    if len(columns) == 1:
        ((name, values),) = columns.items()
        return [{name: value} for value in values]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _columns(predictions: Predictions) -> tuple[dict[str, Sequence[Any]], list[str]]:
    """Columns of plain values, and those with numbers that JSON cannot hold."""
    if not isinstance(predictions, Mapping):
        columns: dict[str, Sequence[Any]] = {**predictions.to_dict(as_series=False)}
        return columns, [series.name for series in predictions if not _is_finite(series)]
    plain: dict[str, Sequence[Any]] = {}
    wrong = []
    for name, value in predictions.items():
        if isinstance(value, np.ndarray):
            plain[name] = value.tolist()
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                wrong.append(name)
        else:
            plain[name] = [row.tolist() if isinstance(row, np.ndarray) else row for row in value]
            if any(
                isinstance(row, np.ndarray) and row.dtype.kind == "f" and not np.isfinite(row).all() for row in value
            ):
                wrong.append(name)
    return plain, wrong


def _is_finite(series: "pl.Series") -> bool:
    """Whether a column has no NaN and no infinite number, in its lists either."""
    while series.dtype.is_nested() and hasattr(series.dtype, "inner"):
        series = series.explode()
    return not series.dtype.is_float() or series.is_finite().all()


def _table(predictions: Predictions, media_type: str) -> bytes:
    frame: pl.DataFrame = write_frame(predictions) if isinstance(predictions, Mapping) else predictions
    file = io.BytesIO()
    if media_type == ARROW_STREAM:
        frame.write_ipc_stream(file)
    elif media_type == ARROW_FILE:
        frame.write_ipc(file)
    else:
        assert media_type == PARQUET
        frame.write_parquet(file)
    return file.getvalue()


def rounded(predictions: Predictions, digits: int) -> Predictions:
    """Predictions with their floating-point numbers rounded to significant digits.

    Args:
        predictions: The predictions.
        digits: Number of significant digits.
    """
    if isinstance(predictions, Mapping):
        return {name: _round(value, digits) for name, value in predictions.items()}
    import polars as pl

    return predictions.select(_rounded(pl.col(name), dtype, digits) for name, dtype in predictions.schema.items())


def _rounded(values: "pl.Expr", dtype: "pl.DataType | DataTypeClass", digits: int) -> "pl.Expr":
    """Numbers of a column, and of its lists, in 64 bits: 0.12 in 32 bits is 0.11999999731779099 in JSON."""
    import polars as pl

    if dtype.is_float():
        return values.cast(pl.Float64).round_sig_figs(digits)
    if isinstance(dtype, pl.List):
        return values.list.eval(_rounded(pl.element(), dtype.inner, digits))
    if isinstance(dtype, pl.Array):
        return values.arr.eval(_rounded(pl.element(), dtype.inner, digits))
    return values


def _round(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return [_round(row, digits) for row in value]
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    wide = value.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.abs(wide)))
        scale = 10.0 ** (digits - 1 - np.where(np.isfinite(exponent), exponent, 0))
        round_ = np.round(wide * scale) / scale
    return np.where(np.isfinite(round_), round_, wide)  # a scale beyond 64 bits leaves a number as it is
