"""Exception chain: an exception and its causes."""

from collections.abc import Iterator


def causes(error: BaseException, *, implicit: bool) -> Iterator[BaseException]:
    """Iterates over an exception and its causes, outermost first, each once.

    Args:
        error: Any exception; some libraries create cycles of causes.
        implicit: Whether to follow `__context__` where there is no `raise ... from`.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__ or (current.__context__ if implicit else None)
