"""Period of a network: the rows of one season, given or found in the data."""


def needed_period(period: int | None, *, look_back: int) -> int:
    """Checks the period of a network that cannot do without.

    Args:
        period: Rows of one season; None where neither a config nor the data gave one.
        look_back: Input rows of the network.

    Raises:
        ValueError: There is none, or the look-back does not hold one.
    """
    if period is None:
        raise ValueError("period: none given; the rows of one season are needed")
    if period < 1:
        raise ValueError(f"period: {period} given, at least 1 row is needed")
    if look_back < period:
        raise ValueError(f"look_back: {look_back} given, at least one period of {period} rows is needed")
    return period
