"""Embedding of texts: their groups of 3 to 5 characters, hashed and projected to a few random directions.

The hash of a group is 64 bits; its first bits are its signs in the directions (Achlioptas 2003). Nothing is drawn or
stored: a text has the same row everywhere. Sums are of small integers, and exact in any order.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from lightning_app.drift.multivariate.embeddings.named_matrix import Array, NamedMatrix

DIRECTIONS = 32
MAX_CHARACTERS = 1000
_SIZES = (3, 4, 5)
_RARE = 0.001
_CHUNK = 200_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def text_embedding(texts: pl.Series) -> NamedMatrix:
    """Mean direction of the groups of characters of each text, its length, and the share of rare characters.

    A character is rare if it makes up less than a thousandth of the characters of all rows: what is unknown to one
    part of the rows only would depend on which part that is.

    Args:
        texts: String; missing ones have NaN.
    """
    known = texts.is_not_null().to_numpy()
    lengths = texts.str.len_chars().fill_null(0).to_numpy().astype(np.float64)
    cut = texts.fill_null("").str.to_lowercase().str.slice(0, MAX_CHARACTERS)
    characters = np.frombuffer("".join(cut.to_list()).encode("utf-32-le"), "<u4")
    ends = np.cumsum(cut.str.len_chars().to_numpy().astype(np.int64))
    rows = np.repeat(np.arange(len(cut)), np.diff(ends, prepend=0))
    matrix = np.empty((len(cut), DIRECTIONS + 2))
    matrix[:, :DIRECTIONS] = _directions(characters, rows, len(cut))
    matrix[:, DIRECTIONS] = np.log1p(lengths)
    matrix[:, DIRECTIONS + 1] = _rare_share(characters, rows, len(cut))
    matrix[~known] = np.nan
    names = (*(f"direction {place}" for place in range(DIRECTIONS)), "length", "rare characters")
    long = int(np.sum(lengths > MAX_CHARACTERS))
    note = f"of {long:,} longer texts, the first {MAX_CHARACTERS:,} characters" if long else None
    return NamedMatrix(matrix, names, note)


def group_hashes(characters: npt.NDArray[np.uint32], size: int) -> npt.NDArray[np.uint64]:
    """Hash of each group of characters in succession.

    Args:
        characters: Code points, (N,).
        size: Characters of a group.

    Returns:
        64 bits of each, (N - size + 1,).
    """
    count = max(0, len(characters) - size + 1)
    found = np.full(count, size, np.uint64)
    for place in range(size):
        found = (found ^ characters[place : place + count].astype(np.uint64)) * _MULTIPLIER
        found ^= found >> np.uint64(29)
    found = (found ^ (found >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return found ^ (found >> np.uint64(32))


def _directions(characters: npt.NDArray[np.uint32], rows: npt.NDArray[np.intp], num_rows: int) -> Array:
    sums = np.zeros((num_rows, DIRECTIONS), np.int64)
    counts = np.zeros(num_rows, np.int64)
    for size in _SIZES:
        hashes = group_hashes(characters, size)
        own = rows[: len(hashes)]
        within = own == rows[size - 1 : size - 1 + len(hashes)]
        hashes, own = hashes[within], own[within]
        counts += np.bincount(own, minlength=num_rows)
        for begin in range(0, len(hashes), _CHUNK):
            part = hashes[begin : begin + _CHUNK].astype("<u8").view(np.uint8).reshape(-1, 8)[:, : DIRECTIONS // 8]
            signs = 2 * np.unpackbits(part, axis=1, bitorder="little").astype(np.int64) - 1
            first = np.flatnonzero(np.diff(own[begin : begin + _CHUNK], prepend=-1))
            sums[own[begin : begin + _CHUNK][first]] += np.add.reduceat(signs, first, axis=0)
    found: Array = sums / np.sqrt(np.maximum(1, counts))[:, None]
    return found


def _rare_share(characters: npt.NDArray[np.uint32], rows: npt.NDArray[np.intp], num_rows: int) -> Array:
    _, inverse, counts = np.unique(characters, return_inverse=True, return_counts=True)
    rare = (counts < _RARE * len(characters))[inverse] if len(characters) else np.zeros(0)
    lengths = np.bincount(rows, minlength=num_rows)
    found: Array = np.bincount(rows, weights=rare, minlength=num_rows) / np.maximum(1, lengths)
    return found
