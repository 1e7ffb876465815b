"""Strata: assignment of rows, or of groups of rows, to splits and folds that all have the same mix of values."""

import numpy as np
import polars as pl

_MOST_VALUES = 20
_PARTS = 10


def strata_of(values: pl.Series) -> np.ndarray:
    """Stratum of each row, int64 (N,): its value; of numbers with many values, the tenth of the rows that it is in.

    Texts that are all numbers, such as those of a CSV file, are numbers.

    Args:
        values: Column that is to be mixed alike; see `as_classes` for numbers that are names.
    """
    codes = values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    if codes.max(initial=0) > _MOST_VALUES and (numbers := _as_numbers(values)) is not None:
        order = numbers.rank("ordinal").fill_null(0).to_numpy().astype(np.int64)
        codes = order * _PARTS // (len(values) + 1)
    return codes


def _as_numbers(values: pl.Series) -> pl.Series | None:
    if values.dtype.is_numeric():
        return values
    if values.dtype != pl.String:
        return None
    texts = values.str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == int((texts.is_null() | (texts == "")).sum()) else None


def as_classes(values: pl.Series) -> pl.Series:
    """A column whose values are names of classes, also where they are numbers: each is a stratum.

    Args:
        values: The column.
    """
    names = values.drop_nulls().unique().sort().cast(pl.String)  # classes are in the order of their numbers
    return values.cast(pl.String).cast(pl.Enum(names))


def groups_of(values: pl.Series) -> np.ndarray:
    """Group of each row, int64 (N,), from 0; rows without one are one group.

    Args:
        values: Column of the groups.
    """
    return np.unique(values.rank("dense").fill_null(0).to_numpy().astype(np.int64), return_inverse=True)[1]


def shares(strata: np.ndarray, shares_: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Part of each row, int64 (N,): parts have their share of each stratum, at random.

    Args:
        strata: Stratum of each row, (N,).
        shares_: Shares of the parts but the last.
        rng: Source of randomness.
    """
    order = np.lexsort((rng.random(len(strata)), strata))
    counts = np.bincount(strata[order])
    rank = np.arange(len(strata)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + 0.5) / np.repeat(counts, counts)
    parts = np.empty(len(strata), dtype=np.int64)
    parts[order] = np.searchsorted(np.cumsum(shares_), place, side="right")
    return parts


def folds(strata: np.ndarray, groups: np.ndarray | None, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, int64 (N,): of about equal size, with the same mix of strata, each group in one of them.

    Args:
        strata: Stratum of each row, (N,).
        groups: Group of each row, (N,), from 0; None if every row is by itself.
        num_folds: Number of folds.
        rng: Source of randomness.
    """
    if groups is None:
        of_row = np.empty(len(strata), dtype=np.int64)
        of_row[np.lexsort((rng.random(len(strata)), strata))] = np.arange(len(strata)) % num_folds
        return of_row
    patterns, pattern_of = _patterns(strata, groups)
    of_group = np.empty(len(pattern_of), dtype=np.int64)
    mass = np.zeros((num_folds, patterns.shape[1]))
    total = np.maximum(patterns[pattern_of].sum(axis=0), 1)
    for pattern in np.lexsort((np.arange(len(patterns)), -patterns.sum(axis=1))):  # large groups first
        members = rng.permutation(np.flatnonzero(pattern_of == pattern))
        whole = len(members) // num_folds * num_folds
        of_group[members[:whole]] = np.arange(whole) % num_folds
        mass += patterns[pattern] * (whole // num_folds)
        for member in members[whole:]:
            after = mass + patterns[pattern]
            fullest = np.square(after / total).sum(axis=1) - np.square(mass / total).sum(axis=1)
            fold = int(np.argmin(fullest))
            of_group[member] = fold
            mass[fold] = after[fold]
    return of_group[groups]


def _patterns(strata: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different counts of strata that groups have, (P, S), and which of them each group has, (G,)."""
    values, codes = np.unique(strata, return_inverse=True)
    counts = np.zeros((groups.max(initial=-1) + 1, len(values)))
    np.add.at(counts, (groups, codes), 1)
    patterns, pattern_of = np.unique(counts, axis=0, return_inverse=True)
    return patterns, pattern_of.reshape(-1)


def group_shares(strata: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Whether the group of a row is among a share of the groups, bool (N,), with the same mix of strata.

    Args:
        strata: Stratum of each row, (N,).
        groups: Group of each row, (N,), from 0.
        share: Share of the groups that are chosen.
        rng: Source of randomness.
    """
    _, pattern_of = _patterns(strata, groups)
    order = np.lexsort((rng.random(len(pattern_of)), pattern_of))
    steps = np.floor(np.arange(len(order) + 1) * share + rng.random())
    chosen = np.empty(len(order), dtype=bool)
    chosen[order] = np.diff(steps) > 0  # evenly among groups that are alike, also where only one is of its kind
    return chosen[groups]
