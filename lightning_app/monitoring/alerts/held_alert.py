"""HeldAlert: an alert as it is kept between evaluations; an inactive one is not kept."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct


class HeldAlert(Struct, frozen=True, kw_only=True):
    """An alert of a rule for one set of labels.

    Times are Unix seconds as people read them; what is waited for is measured in `elapsed`, which `AlertClock` counts.

    Attributes:
        status: Pending until the rule has held long enough, then firing, then resolved.
        labels: What it is about, with `alert`, the name of the rule, and `severity`.
        since: When the status began.
        began: Elapsed seconds at the beginning of the status.
        text: One line.
        value: Last value of the metric; None if it is absent.
        threshold: Bound of the rule; None if it is for absence.
        annotations: Further texts.
        fired: When it began to fire; None while it is pending.
        cleared: Elapsed seconds at which the rule ceased to hold, while the alert still fires.
        sent: Elapsed seconds at which it was last put into the outbox; None if it never was.
        num_sent: How often it was.
    """

    status: Literal["pending", "firing", "resolved"]
    labels: dict[str, str]
    since: float
    began: float
    text: str
    value: float | None = None
    threshold: float | None = None
    annotations: dict[str, str] = {}
    fired: float | None = None
    cleared: float | None = None
    sent: float | None = None
    num_sent: int = 0


def labels_key(labels: Mapping[str, str]) -> str:
    """A set of labels as the key of a row.

    Args:
        labels: The labels.
    """
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()
