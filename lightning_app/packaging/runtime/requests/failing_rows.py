"""Failing rows of a request: the ones that the ONNX graph cannot answer, by bisection."""

from collections.abc import Callable, Mapping

from lightning_app.packaging.format.errors import RunError
from lightning_app.packaging.runtime.values import Values

_MOST_CALLS = 4096


def failing_rows(
    values: Mapping[str, Values], error: RunError, answer: Callable[[Mapping[str, Values]], object]
) -> dict[int, str]:
    """Finds the rows that the model fails on.

    Args:
        values: Input name to values, rows first.
        error: Error of the call with all rows.
        answer: Answers some of the rows.

    Returns:
        Row to reason.

    Raises:
        RunError: `error`, if no row fails by itself or the search takes too many calls.
    """
    reasons: dict[int, str] = {}
    calls = 0
    parts = [(0, len(next(iter(values.values()))), error)]
    while parts:
        start, stop, why = parts.pop()
        if stop - start == 1:
            reasons[start] = str(why)
            continue
        middle = (start + stop) // 2
        for half in ((start, middle), (middle, stop)):
            calls += 1
            try:
                answer({name: value[slice(*half)] for name, value in values.items()})
            except RunError as inner:
                parts.append((*half, inner))
        if calls > _MOST_CALLS:
            raise error
    if not reasons:
        raise error
    return reasons
