"""Chain of an error: what it was raised from."""

from collections.abc import Iterator


def causes(error: BaseException, *, implicit: bool) -> Iterator[BaseException]:
    """The error itself, then what it was raised from, up to the first one; each once.

    Args:
        error: Anything that was raised; a library may have made it its own cause.
        implicit: Whether an error that was being handled counts too, where none is named by `raise ... from`.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        yield found
        seen.add(id(found))
        found = found.__cause__ or (found.__context__ if implicit else None)
