"""Exact sum: numbers add up without rounding, so that neither order nor size of the terms matters."""

import math


class ExactSum:
    """The sum of finite numbers as numerator / 2 ** shift; infinities and NaN are added up beside it.

    Attributes:
        numerator: Integer of any size.
        shift: Exponent of the denominator.
        special: Sum of the terms that are infinite or NaN; 0 without any.
    """

    __slots__ = ("numerator", "shift", "special")

    def __init__(self, numerator: int = 0, shift: int = 0, special: float = 0.0) -> None:
        self.numerator = numerator
        self.shift = shift
        self.special = special

    def add(self, number: float, times: int = 1) -> None:
        """Adds `times * number`."""
        if isinstance(number, float) and not math.isfinite(number):
            self.special += number * times
            return
        numerator, denominator = number.as_integer_ratio()
        self._add_ratio(numerator * times, denominator.bit_length() - 1)

    def add_square(self, number: float) -> None:
        """Adds `number ** 2`, itself exact."""
        if isinstance(number, float) and not math.isfinite(number):
            self.special += number * number
            return
        numerator, denominator = number.as_integer_ratio()
        self._add_ratio(numerator * numerator, 2 * (denominator.bit_length() - 1))

    def copy(self) -> "ExactSum":
        """A sum of its own with the same terms."""
        return ExactSum(self.numerator, self.shift, self.special)

    def divided_by(self, count: int) -> float:
        """The sum over a whole number, rounded once."""
        if self.special != 0.0:
            return self.special / count
        try:
            return self.numerator / (count << self.shift)
        except OverflowError:
            return math.inf if self.numerator > 0 else -math.inf

    def pack(self) -> tuple[bytes, int, float]:
        """The sum as values that msgpack knows."""
        size = self.numerator.bit_length() // 8 + 1
        return self.numerator.to_bytes(size, "little", signed=True), self.shift, self.special

    @classmethod
    def unpack(cls, numerator: bytes, shift: int, special: float) -> "ExactSum":
        """Inverse of `pack`."""
        return cls(int.from_bytes(numerator, "little", signed=True), shift, special)

    def _add_ratio(self, numerator: int, shift: int) -> None:
        if shift > self.shift:
            self.numerator = (self.numerator << (shift - self.shift)) + numerator
            self.shift = shift
        else:
            self.numerator += numerator << (self.shift - shift)


def variance(count: int, total: ExactSum, squares: ExactSum) -> float:
    """Sample variance from the exact sums of the values and of their squares; `count` is at least 2."""
    if total.special != 0.0 or squares.special != 0.0:
        return math.nan
    shift = max(2 * total.shift, squares.shift)
    spread = count * (squares.numerator << (shift - squares.shift))
    spread -= (total.numerator * total.numerator) << (shift - 2 * total.shift)
    try:
        return spread / ((count * (count - 1)) << shift)
    except OverflowError:
        return math.inf
