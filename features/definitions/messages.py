"""Messages about definitions: the place, the nearest known name, what is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """End of a message about an unknown name: what may have been meant, or what there is.

    Args:
        name: The unknown name.
        known: Names that exist.
    """
    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    some = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"; there is {some}" if names else "; there are none"
