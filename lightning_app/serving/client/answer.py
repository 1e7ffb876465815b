"""Answer: predictions, and who made them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer to a request.

    Attributes:
        predictions: In the form of the request: records, columns (of arrays, if arrays were sent), or a table.
        model: Name of the model.
        version: Version in the registry; None for the folder of a package.
        digest: sha256 of the package's manifest.
        arm: Arm that answered, e.g. `champion`.
        request_id: Id of the request; feedback is given under it.
        notes: What was dropped, filled or not finite.
        state: State of a stream after the request, for the next one; None unless it was asked for.
        answered_before: Whether the server had answered this request id already, and sends that answer again.
    """

    predictions: Any
    model: str
    version: int | None
    digest: str
    arm: str
    request_id: str
    notes: tuple[str, ...] = ()
    state: Any = None
    answered_before: bool = False
