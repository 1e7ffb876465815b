"""Distributions: quantiles and tails of the normal, Student, chi-square and beta family, in plain Python.

SciPy is no dependency of a server; the tests compare each of these with it.
"""

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_PRECISION = 1e-15
_MOST_TERMS = 10_000
_TINY = 1e-300


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution.

    Args:
        probability: In (0, 1).
    """
    return _NORMAL.inv_cdf(probability)


def normal_cdf(value: float) -> float:
    """Distribution function of the standard normal distribution.

    Args:
        value: Any number.
    """
    return 0.5 * math.erfc(-value / math.sqrt(2))


def chi_square_tail(value: float, degrees: float) -> float:
    """Probability that a chi-square variable is larger than a value.

    Args:
        value: The value, at least 0.
        degrees: Degrees of freedom.
    """
    if value <= 0:
        return 1.0
    return _upper_gamma(degrees / 2, value / 2)


def student_tail(value: float, degrees: float) -> float:
    """Probability that a Student variable is farther from 0 than a value.

    Args:
        value: The value.
        degrees: Degrees of freedom; infinity is the normal distribution.
    """
    if math.isinf(degrees):
        return 2 * normal_cdf(-abs(value))
    return incomplete_beta(degrees / (degrees + value * value), degrees / 2, 0.5)


def student_quantile(probability: float, degrees: float) -> float:
    """Quantile of the Student distribution.

    Args:
        probability: In [0.5, 1).
        degrees: Degrees of freedom; infinity is the normal distribution.
    """
    if math.isinf(degrees) or degrees > 1e7:
        return normal_quantile(probability)
    tail = 2 * (1 - probability)
    low, high = 0.0, 2.0
    while student_tail(high, degrees) > tail:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, degrees) > tail else (low, middle)
    return (low + high) / 2


def incomplete_beta(value: float, first: float, second: float) -> float:
    """Regularised incomplete beta function.

    Args:
        value: Upper limit of the integral, in [0, 1].
        first: First shape, positive.
        second: Second shape, positive.
    """
    if value <= 0 or value >= 1:
        return float(value >= 1)
    log_front = (
        math.lgamma(first + second) - math.lgamma(first) - math.lgamma(second)
        + first * math.log(value) + second * math.log1p(-value)
    )  # fmt: skip
    if value > (first + 1) / (first + second + 2):
        return 1 - incomplete_beta(1 - value, second, first)
    # Lentz's evaluation of the continued fraction (Numerical Recipes, 6.4).
    numerator, denominator = 1.0, 1 - (first + second) * value / (first + 1)
    denominator = 1 / (denominator if abs(denominator) > _TINY else _TINY)
    fraction = denominator
    for term in range(1, _MOST_TERMS):
        for coefficient in (
            term * (second - term) * value / ((first + 2 * term - 1) * (first + 2 * term)),
            -(first + term) * (first + second + term) * value / ((first + 2 * term) * (first + 2 * term + 1)),
        ):
            denominator = 1 + coefficient * denominator
            denominator = 1 / (denominator if abs(denominator) > _TINY else _TINY)
            numerator = 1 + coefficient / numerator
            numerator = numerator if abs(numerator) > _TINY else _TINY
            change = denominator * numerator
            fraction *= change
        if abs(change - 1) < _PRECISION:
            break
    return math.exp(log_front) * fraction / first


def _upper_gamma(shape: float, value: float) -> float:
    """Regularised upper incomplete gamma function."""
    log_front = shape * math.log(value) - value - math.lgamma(shape)
    if value < shape + 1:
        term = total = 1 / shape
        for number in range(1, _MOST_TERMS):
            term *= value / (shape + number)
            total += term
            if term < total * _PRECISION:
                break
        return 1 - math.exp(log_front) * total
    base = value + 1 - shape
    numerator, denominator = 1 / _TINY, 1 / base
    fraction = denominator
    for number in range(1, _MOST_TERMS):
        factor = -number * (number - shape)
        base += 2
        denominator = 1 / (factor * denominator + base)
        numerator = base + factor / numerator
        change = denominator * numerator
        fraction *= change
        if abs(change - 1) < _PRECISION:
            break
    return math.exp(log_front) * fraction
