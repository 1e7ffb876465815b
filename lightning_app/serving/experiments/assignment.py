"""Assignment of keys to arms: a sticky hash, and layouts that move no more keys than they have to."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

from lightning_app.serving.config.control_channel import Interval

_UNITS = 2**53
_UNIT = 1 / _UNITS
"""Points are whole numbers of it, so that nothing is lost by rounding."""

_Piece: TypeAlias = tuple[str, int, int]


def point(salt: str, key: str) -> float:
    """The point of a key: uniform over keys, the same for ever.

    Args:
        salt: Id of the experiment; the points of two experiments are independent.
        key: The key.

    Returns:
        A number from 0, less than 1.
    """
    hasher = _salted(salt).copy()
    hasher.update(key.encode("utf-8", "surrogatepass"))
    return (int.from_bytes(hasher.digest(), "big") >> 11) * _UNIT


def layout_of(shares: Mapping[str, float]) -> list[Interval]:
    """The first layout of an experiment: arms one after the other.

    Args:
        shares: Share by arm; they sum to 1.
    """
    layout, start = [], 0
    for arm, size in _sizes(shares).items():
        layout.append((arm, start, start + size))
        start += size
    return _intervals(layout)


def moved(layout: Sequence[Interval], shares: Mapping[str, float]) -> list[Interval]:
    """A layout with other shares, in which only those keys move that have to.

    Arms that lose give away the ends of their intervals; arms that gain get these. The result depends on the two
    arguments alone, so that every server finds the same.

    Args:
        layout: The layout before.
        shares: Share by arm; they sum to 1.
    """
    before = [(interval.arm, round(interval.start / _UNIT), round(interval.end / _UNIT)) for interval in layout]
    missing = _sizes(shares)
    surplus: dict[str, int] = {}
    for arm, start, end in before:
        surplus[arm] = surplus.get(arm, 0) + end - start
    for arm, held in surplus.items():
        size = missing.get(arm, 0)
        missing[arm], surplus[arm] = max(size - held, 0), max(held - size, 0)
    after: list[_Piece] = []
    free: list[tuple[int, int]] = []
    for arm, start, end in reversed(before):
        given = min(surplus[arm], end - start)
        surplus[arm] -= given
        after.append((arm, start, end - given))
        free.append((end - given, end))
    for arm, size in missing.items():
        while size > 0:
            start, end = free.pop()
            taken = min(size, end - start)
            after.append((arm, start, start + taken))
            if start + taken < end:
                free.append((start + taken, end))
            size -= taken
    return _intervals(sorted(after, key=lambda piece: piece[1]))


def shares_of(layout: Sequence[Interval]) -> dict[str, float]:
    """Share by arm: the exact probability of each.

    Args:
        layout: The layout.
    """
    shares: dict[str, float] = {}
    for interval in layout:
        shares[interval.arm] = shares.get(interval.arm, 0.0) + (interval.end - interval.start)
    return shares


def _sizes(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares as whole numbers of units, which sum to all of them."""
    total = sum(shares.values())
    sizes = {arm: int(share / total * _UNITS) for arm, share in shares.items()}
    largest = max(sizes, key=lambda arm: sizes[arm])
    sizes[largest] += _UNITS - sum(sizes.values())
    return sizes


def _intervals(pieces: Sequence[_Piece]) -> list[Interval]:
    """Pieces in their order as intervals; neighbours of one arm are one, empty ones are left out."""
    joined: list[_Piece] = []
    for arm, start, end in pieces:
        if end == start:
            continue
        if joined and joined[-1][0] == arm:
            joined[-1] = (arm, joined[-1][1], end)
        else:
            joined.append((arm, start, end))
    return [Interval(arm, start * _UNIT, end * _UNIT) for arm, start, end in joined]


@lru_cache(maxsize=64)
def _salted(salt: str) -> blake2b:
    """A hash that has taken the salt, as a key of BLAKE2b, which takes 64 bytes: copied, that costs nothing again."""
    raw = salt.encode()
    return blake2b(digest_size=8, key=raw if len(raw) <= 64 else blake2b(raw, digest_size=64).digest())
