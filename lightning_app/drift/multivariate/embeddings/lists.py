"""Embeddings of lists of numbers: vectors of one length by their main directions, sequences by their curve."""

import numpy as np
import polars as pl

from lightning_app.drift.columns.nested import list_depth
from lightning_app.drift.multivariate.embeddings.named_matrix import Array, NamedMatrix

MAX_ELEMENTS = 32
MAX_CHANNELS = 8
_CURVE = ("length", "mean", "sd", "least", "greatest", "first", "last", "mean step", "steps' sd")


def vector_embedding(vectors: pl.Series) -> NamedMatrix | None:
    """Elements of vectors of one length; of more than 32, the main directions of all rows, and the norm.

    Args:
        vectors: Lists of numbers; missing ones, and those with an element that is no number, have NaN.

    Returns:
        None if they differ in length, or are empty.
    """
    lists = vectors.cast(pl.List(pl.Float64))
    lengths = lists.drop_nulls().list.len()
    if lengths.n_unique() != 1 or not lengths[0]:
        return None
    size = int(lengths[0])
    matrix = np.full((len(lists), size), np.nan)
    known = lists.is_not_null().to_numpy()
    matrix[known] = lists.drop_nulls().explode().fill_null(np.nan).to_numpy().reshape(-1, size)
    if size <= MAX_ELEMENTS:
        return NamedMatrix(matrix, tuple(f"[{place}]" for place in range(size)))
    found = np.full((len(matrix), MAX_ELEMENTS + 1), np.nan)
    whole = np.isfinite(matrix).all(axis=1)
    found[whole, :MAX_ELEMENTS] = _main_directions(matrix[whole])
    found[whole, MAX_ELEMENTS] = np.linalg.norm(matrix[whole], axis=1)
    names = (*(f"main direction {place}" for place in range(MAX_ELEMENTS)), "norm")
    return NamedMatrix(found, names, f"{MAX_ELEMENTS} main directions of {size} elements")


def sequence_embedding(sequences: pl.Series) -> NamedMatrix:
    """Length, level, spread, ends and steps of each sequence, of each channel if steps are vectors.

    Args:
        sequences: Lists of numbers, or of lists of one length (channels); missing ones have NaN.
    """
    if list_depth(sequences.dtype) == 1:
        return NamedMatrix(_curves(sequences.cast(pl.List(pl.Float64))), _CURVE)
    nested = sequences.cast(pl.List(pl.List(pl.Float64)))
    channels = nested.drop_nulls().list.get(0, null_on_oob=True).list.len().max()
    count = int(channels) if isinstance(channels, int) else 0
    parts, names = [], []
    for channel in range(min(count, MAX_CHANNELS)):
        values = nested.list.eval(pl.element().list.get(channel, null_on_oob=True))
        parts.append(_curves(values)[:, 0 if not channel else 1 :])
        names += [
            name if name == "length" else f"channel {channel} {name}" for name in _CURVE[0 if not channel else 1 :]
        ]
    note = f"the first {MAX_CHANNELS} of {count} channels" if count > MAX_CHANNELS else None
    matrix = np.concatenate(parts, axis=1) if parts else np.zeros((len(sequences), 0))
    return NamedMatrix(matrix, tuple(names), note)


def _curves(lists: pl.Series) -> Array:
    steps = lists.list.diff(null_behavior="drop")
    columns = [
        lists.list.len(), lists.list.mean(), lists.list.std(ddof=0), lists.list.min(), lists.list.max(),
        lists.list.first(), lists.list.last(), steps.list.mean(), steps.list.std(ddof=0),
    ]  # fmt: skip
    return np.stack([column.cast(pl.Float64).fill_null(np.nan).to_numpy() for column in columns], axis=1)


def _main_directions(matrix: Array) -> Array:
    centred = matrix - matrix.mean(axis=0)
    covariance = centred.T @ centred / max(1, len(centred))
    _, directions = np.linalg.eigh(covariance)
    found: Array = centred @ directions[:, ::-1][:, :MAX_ELEMENTS]
    return found
