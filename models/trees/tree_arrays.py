"""TreeArrays: fitted decision trees of any library in one form, numpy arrays by node."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TreeArrays:
    """Trees whose leaves are added up; nodes of all trees are numbered together.

    A node compares one column of the row: it goes left if the value is at most the threshold, or, with `sets`, if the
    category is a member of its set. A leaf is its own left and right child.

    Attributes:
        roots: First node of each tree, int64 (T,).
        targets: Output that each tree adds to, int64 (T,).
        features: Column that each node compares, int64 (N,).
        thresholds: float32 (N,).
        missing_left: Whether NaN goes left, bool (N,).
        left: Next node, int64 (N,).
        right: Next node, int64 (N,).
        sets: Row of `members`, -1 where a threshold is compared, int64 (N,).
        members: Bits of the categories that go left, lowest bit first, uint8 (S, W).
        values: What a leaf adds, 0 elsewhere, float64 (N,).
        base: What every row starts from, float64 (C,).
    """

    roots: np.ndarray
    targets: np.ndarray
    features: np.ndarray
    thresholds: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    sets: np.ndarray
    members: np.ndarray
    values: np.ndarray
    base: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree: nodes that compare first, then leaves; a child below 0 is a leaf, `~child` is its place in `values`.

    Attributes:
        features: Column of each node, (N,).
        thresholds: A value that is at most this goes left, float64 (N,).
        missing_left: Whether NaN goes left, bool (N,).
        left: Child, (N,).
        right: Child, (N,).
        values: Of the leaves, float64 (N + 1,).
        sets: Bits of the categories that go left by node, uint8 (W,); other nodes compare the threshold.
    """

    features: np.ndarray
    thresholds: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    sets: dict[int, np.ndarray]


def join_trees(trees: Sequence[Tree], *, targets: Sequence[int], base: np.ndarray) -> TreeArrays:
    """Numbers the nodes of several trees together.

    Args:
        trees: The trees.
        targets: Output of each.
        base: What every row starts from, (C,).
    """
    sizes = [len(tree.features) + len(tree.values) for tree in trees]
    roots = np.cumsum([0, *sizes], dtype=np.int64)[:-1] if trees else np.zeros(0, dtype=np.int64)
    total = sum(sizes)
    joined: dict[str, np.ndarray] = {
        "features": np.zeros(total, dtype=np.int64),
        "thresholds": np.zeros(total, dtype=np.float64),
        "missing_left": np.zeros(total, dtype=bool),
        "left": np.arange(total, dtype=np.int64),
        "right": np.arange(total, dtype=np.int64),
        "sets": np.full(total, -1, dtype=np.int64),
        "values": np.zeros(total, dtype=np.float64),
    }
    sets: list[np.ndarray] = []
    for tree, root in zip(trees, roots.tolist(), strict=True):
        count = len(tree.features)
        inner = slice(root, root + count)
        joined["features"][inner] = tree.features
        joined["thresholds"][inner] = tree.thresholds
        joined["missing_left"][inner] = tree.missing_left
        joined["values"][root + count : root + count + len(tree.values)] = tree.values
        for side, children in (("left", tree.left), ("right", tree.right)):
            joined[side][inner] = root + np.where(children < 0, count + ~children, children)
        for node, bits in tree.sets.items():
            joined["sets"][root + node] = len(sets)
            sets.append(bits)
    joined["thresholds"] = round_down(joined["thresholds"])
    width = max((len(bits) for bits in sets), default=1)
    members = np.zeros((len(sets), width), dtype=np.uint8)
    for row, bits in zip(members, sets, strict=True):
        row[: len(bits)] = bits
    return TreeArrays(
        roots=roots,
        targets=np.asarray(targets, dtype=np.int64),
        members=members,
        base=np.asarray(base, dtype=np.float64),
        **joined,
    )


def round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is at most each threshold: it decides about float32 values as the float64 does.

    Args:
        thresholds: float64 (N,).
    """
    wide = np.asarray(thresholds, dtype=np.float64)
    largest = np.float64(np.finfo(np.float32).max)
    rounded = np.clip(wide, -largest, largest).astype(np.float32)
    rounded = np.where(np.isinf(wide), wide.astype(np.float32), rounded)
    above = rounded.astype(np.float64) > wide
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def set_bits(categories: np.ndarray, size: int) -> np.ndarray:
    """Bits of some categories, lowest first, uint8.

    Args:
        categories: The members, integers from 0.
        size: Number of categories that there are.
    """
    flags = np.zeros(size, dtype=bool)
    flags[categories] = True
    return np.packbits(flags, bitorder="little")
